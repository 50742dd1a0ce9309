package oauth

import (
	"net/netip"
	"testing"
)

func TestRegionOf(t *testing.T) {
	for address, want := range map[string]addressKind{
		"8.8.8.8":                publicAddress,
		"1.0.0.0":                publicAddress,
		"172.15.255.255":         publicAddress,
		"172.32.0.0":             publicAddress,
		"100.63.255.255":         publicAddress,
		"198.20.0.0":             publicAddress,
		"2606:4700::1111":        publicAddress,
		"::ffff:8.8.8.8":         publicAddress,
		"64:ff9b::8.8.8.8":       publicAddress,
		"2002:808:808::1":        publicAddress,
		"127.0.0.1":              loopbackAddress,
		"127.255.255.254":        loopbackAddress,
		"::1":                    loopbackAddress,
		"::ffff:127.0.0.1":       loopbackAddress,
		"64:ff9b::127.0.0.1":     loopbackAddress,
		"2002:7f00:1::":          loopbackAddress,
		"10.0.0.1":               privateAddress,
		"172.16.0.1":             privateAddress,
		"172.31.255.255":         privateAddress,
		"192.168.1.1":            privateAddress,
		"::ffff:192.168.1.1":     privateAddress,
		"64:ff9b::a00:1":         privateAddress,
		"2002:a00:1::1":          privateAddress,
		"fc00::1":                privateAddress,
		"fdff::1":                privateAddress,
		"100.64.0.1":             sharedAddress,
		"100.127.255.255":        sharedAddress,
		"198.18.0.1":             benchmarkAddress,
		"169.254.169.254":        linkLocalAddress,
		"::ffff:169.254.169.254": linkLocalAddress,
		"64:ff9b::a9fe:a9fe":     linkLocalAddress,
		"2002:a9fe:a9fe::":       linkLocalAddress,
		"fe80::1":                linkLocalAddress,
		"fe80::1%eth0":           linkLocalAddress,
		"febf::1":                linkLocalAddress,
		"100.100.100.200":        metadataAddress,
		"168.63.129.16":          metadataAddress,
		"192.0.0.192":            metadataAddress,
		"fd00:ec2::254":          metadataAddress,
		"fd20:ce::254":           metadataAddress,
		"0.0.0.0":                unspecifiedAddress,
		"0.1.2.3":                unspecifiedAddress,
		"::":                     unspecifiedAddress,
		"224.0.0.1":              multicastAddress,
		"239.255.255.255":        multicastAddress,
		"ff02::1":                multicastAddress,
		"192.0.0.1":              reservedAddress,
		"192.0.2.1":              reservedAddress,
		"192.88.99.1":            reservedAddress,
		"203.0.113.7":            reservedAddress,
		"240.0.0.1":              reservedAddress,
		"255.255.255.255":        reservedAddress,
		"::127.0.0.1":            reservedAddress, // IPv4-compatible
		"::ffff:0:127.0.0.1":     reservedAddress, // SIIT
		"64:ff9b:1::7f00:1":      reservedAddress, // local NAT64
		"2001::1":                reservedAddress, // Teredo
		"2001:db8::1":            reservedAddress,
		"3fff::1":                reservedAddress,
		"fec0::1":                reservedAddress, // site-local
		"4000::1":                reservedAddress, // nobody's yet
	} {
		if got := regionOf(embedded(netip.MustParseAddr(address))).kind; got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct {
		network, address string
		want             bool
	}{
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "11.1.2.3", false},
		{"0.0.0.0/0", "10.1.2.3", true},
		{"0.0.0.0/0", "169.254.169.254", false},
		{"169.0.0.0/8", "169.254.169.254", false},
		{"169.254.0.0/16", "169.254.169.254", true},
		{"169.254.169.254/32", "169.254.169.254", true},
		{"100.64.0.0/10", "100.64.0.1", true},
		{"100.64.0.0/10", "100.100.100.200", false},
		{"100.100.100.200/32", "100.100.100.200", true},
		{"fd00::/8", "fd00:ec2::254", false},
		{"::/0", "fe80::1", false},
		{"fe80::/10", "fe80::1", true},
		{"198.51.100.0/24", "198.51.100.1", true},
	} {
		if got := named([]netip.Prefix{netip.MustParsePrefix(c.network)}, netip.MustParseAddr(c.address)); got != c.want {
			t.Errorf("%s names %s: %v, want %v", c.network, c.address, got, c.want)
		}
	}
}

func TestSites(t *testing.T) {
	for _, c := range []struct {
		upstream, host string
		want           bool
	}{
		{"mcp.example.com", "mcp.example.com", true},
		{"mcp.example.com", "sso.example.com", true},
		{"mcp.example.com", "example.com", true},
		{"mcp.example.com", "example.com.evil.org", false},
		{"mcp.example.com", "badexample.com", false},
		{"evil.co.uk", "corp.co.uk", false}, // co.uk is a registry
		{"evil.github.io", "corp.github.io", false},
		{"com", "example.com", false},
	} {
		if got := sameSite(c.upstream, c.host); got != c.want {
			t.Errorf("%s and %s are of one site: %v, want %v", c.upstream, c.host, got, c.want)
		}
	}
	for host, want := range map[string]bool{"mcp": true, "mcp.local": true, "mcp.corp.internal": true, "a.home.arpa": true, "example.com": false, "local.com": false} {
		if got := local(host); got != want {
			t.Errorf("%s is local: %v, want %v", host, got, want)
		}
	}
}
