// Package linktest is a scripted MCP server without a process or a network,
// for tests of what stands before package upstream's links. All of it works in a
// synctest bubble.
package linktest
