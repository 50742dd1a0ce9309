//go:build !unix

package upstream

import (
	"errors"
	"net"
	"syscall"
)

// Where a socket cannot be looked at without waiting, net/http is used.
const lean = false

func rawConn(net.Conn) syscall.RawConn { return nil }

func readNow(uintptr, []byte) (int, error) { return 0, nil }

// refused reports whether err is that of a host where nobody listens, which
// Windows calls WSAECONNREFUSED.
func refused(err error) bool { return errors.Is(err, syscall.Errno(10061)) }
