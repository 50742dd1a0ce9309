package addrtest

import (
	"net"
	"testing"
)

func TestReserve(t *testing.T) {
	got := make(map[string]bool)
	for range 200 {
		address, release, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if got[address] {
			t.Errorf("%s was given twice", address)
		}
		got[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
