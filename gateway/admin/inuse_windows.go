package admin

import (
	"errors"
	"syscall"
)

// WSAEADDRINUSE, which package syscall has no name for.
const addrInUse = syscall.Errno(10048)

func addressInUse(err error) bool { return errors.Is(err, addrInUse) }
