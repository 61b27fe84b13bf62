// Package netaddr groups client addresses for limits, and parses lists of networks.
package netaddr

import "net/netip"

// LimitPrefix returns the prefix of an address for limits per address. It is the IPv4 address itself, or
// the /64 of an IPv6 address, because a subscriber usually has a whole /64. For an invalid address the
// prefix is invalid.
func LimitPrefix(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.WithZone("").Prefix(bits)
	return p
}
