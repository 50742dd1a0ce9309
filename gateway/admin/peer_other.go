//go:build !linux && !darwin

package admin

import "net"

// peer names the user at the other end of a unix socket: this system does not
// tell.
func peer(*net.UnixConn) string { return "" }
