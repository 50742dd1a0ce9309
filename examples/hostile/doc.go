// Command hostile plays five attacks on agents that use many MCP servers, each
// twice: through a gateway without the policy that is made for it, where the attack
// works, and through one with it, where it does not.
//
//	go run ./examples/hostile            all of them
//	go run ./examples/hostile rug-pull   one
//
// Nothing leaves the machine: the servers here keep what they got hold of in a
// file, and the secrets are made up. The agent is a program that does as it is
// told by whatever text it reads, as a model may.
package main
