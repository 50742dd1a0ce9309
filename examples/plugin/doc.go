// Package plugin tests two policies that run in processes of their own, and are
// examples of how one is written: office hours in Go (folder go), and tickets in
// plain Node (folder node). Each is run by the real binary in front of a server of the
// demo.
package plugin
