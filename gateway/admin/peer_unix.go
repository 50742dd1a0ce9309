//go:build linux || darwin

package admin

import (
	"net"
	"strconv"
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
		if uid, err := peerUID(int(fd)); err == nil {
			who = "uid " + strconv.FormatUint(uint64(uid), 10)
		}
	})
	return who
}
