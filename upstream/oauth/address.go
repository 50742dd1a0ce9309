package oauth

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// region is a range of addresses of one kind.
type region struct {
	netip.Prefix
	kind addressKind
}

// addressKind is what an address is, in words for an error.
type addressKind string

const (
	publicAddress addressKind = "public"

	// Own addresses mean another machine, or none, in each network: they may be
	// connected to where the upstream itself is.
	loopbackAddress  addressKind = "loopback"
	privateAddress   addressKind = "private"
	sharedAddress    addressKind = "shared"    // RFC 6598: carriers, and VPNs such as Tailscale
	benchmarkAddress addressKind = "benchmark" // RFC 2544: some proxies resolve all names to it

	// No sign-in is at these, but keys to a machine in the cloud may be.
	linkLocalAddress   addressKind = "link-local"
	metadataAddress    addressKind = "cloud metadata"
	unspecifiedAddress addressKind = "unspecified"
	multicastAddress   addressKind = "multicast"
	reservedAddress    addressKind = "reserved"
)

// own tells whether an upstream that is at such an address opens the others of its kind.
func (k addressKind) own() bool {
	switch k {
	case loopbackAddress, privateAddress, sharedAddress, benchmarkAddress:
		return true
	}
	return false
}

// regions are IANA's special-purpose registries for IPv4 and IPv6, and the metadata
// services of clouds that are outside of link-local ranges. The narrowest counts.
var regions = func() (all []region) {
	for kind, prefixes := range map[addressKind]string{
		publicAddress:      "0.0.0.0/0 2000::/3",
		loopbackAddress:    "127.0.0.0/8 ::1/128",
		privateAddress:     "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",
		sharedAddress:      "100.64.0.0/10",
		benchmarkAddress:   "198.18.0.0/15",
		linkLocalAddress:   "169.254.0.0/16 fe80::/10",
		metadataAddress:    "100.100.100.200/32 168.63.129.16/32 192.0.0.192/32 fd00:ec2::254/128 fd20:ce::254/128", // Alibaba, Azure, Oracle, AWS, Google
		unspecifiedAddress: "0.0.0.0/8 ::/128",
		multicastAddress:   "224.0.0.0/4 ff00::/8",
		reservedAddress:    "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 ::/0 2001::/23 2001:db8::/32 3fff::/20",
	} {
		for p := range strings.FieldsSeq(prefixes) {
			all = append(all, region{netip.MustParsePrefix(p), kind})
		}
	}
	return all
}()

// regionOf returns the narrowest region that a is in. a is as embedded returns it.
func regionOf(a netip.Addr) region {
	var narrowest region
	for _, r := range regions {
		if r.Contains(a) && (!narrowest.IsValid() || r.Bits() > narrowest.Bits()) {
			narrowest = r
		}
	}
	return narrowest
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// embedded returns the IPv4 address that packets for an IPv6 address end at: of
// ::ffff:0:0/96, NAT64's well-known prefix and 6to4. Others are as they are, without a
// zone.
func embedded(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:]))
	}
	return a
}

// named tells whether one of the networks that the configuration opens has an address
// in it. One that is wider than a region names nothing of it that is not own: 0.0.0.0/0
// does not open the metadata of a cloud.
func named(networks []netip.Prefix, a netip.Addr) bool {
	r := regionOf(a)
	for _, n := range networks {
		if n.Contains(a) && (r.kind.own() || n.Bits() >= r.Bits()) {
			return true
		}
	}
	return false
}

// local tells whether a name is one that no public zone can have: it is the local
// network that says where it is (RFC 6762, RFC 8375, and what people use).
func local(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range [...]string{".local", ".internal", ".localhost", ".lan", ".home.arpa"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// sameSite tells whether two names belong to one registered domain.
func sameSite(a, b string) bool {
	if a == b {
		return true
	}
	site, err := publicsuffix.EffectiveTLDPlusOne(a)
	return err == nil && (b == site || strings.HasSuffix(b, "."+site))
}

// bare is a host as it is compared: lower case, no dot at its end.
func bare(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }
