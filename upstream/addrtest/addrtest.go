// Package addrtest finds addresses for servers of tests and benchmarks, which are told
// where to listen before they run.
package addrtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Reserve returns a loopback address that nothing listens on, and that no other test
// gets, of this process or another one, until release is called. Its port is below
// those that systems give out by themselves. The error is that of the last of many
// tries.
func Reserve() (address string, release func(), err error) {
	for range 100 {
		// The next port is held instead of the port itself, which is to stay free.
		port := 20000 + 2*rand.IntN(5000)
		var held, l net.Listener
		if held, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1)); err != nil {
			continue
		}
		address = fmt.Sprintf("127.0.0.1:%d", port)
		if l, err = net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address, func() { _ = held.Close() }, nil
		}
		_ = held.Close()
	}
	return "", nil, err
}

// Free is Reserve for the time of a test, which it fails if there is none.
func Free(t testing.TB) string {
	t.Helper()
	address, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}
