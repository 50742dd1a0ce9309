package admin

import (
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// peer names the user at the other end of a unix socket, "" if the system does
// not tell.
func peer(c *net.UnixConn) string {
	raw, err := c.SyscallConn()
	if err != nil {
		return ""
	}
	who := ""
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED); err == nil {
			who = "uid " + strconv.Itoa(int(cred.Uid))
		}
	})
	return who
}
