package oauth

import "net/netip"

// embedded returns the IPv4 address that an IPv6 address stands for, or a as it is.
func embedded(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }
