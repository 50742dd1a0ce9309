//go:build unix

package upstream

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// rawConn gives access to the socket below n, nil if it has none.
func rawConn(n net.Conn) syscall.RawConn {
	s, ok := n.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readNow reads what has come to the socket fd: 0 and nil for nothing, io.EOF
// for its end. Sockets of package net do not block.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// refused reports whether err is that of a host where nobody listens.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// lean says whether connections can be looked at without waiting.
const lean = true
