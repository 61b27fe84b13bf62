// Package netaddr groups client addresses for limits.
package netaddr

import "net/netip"

// LimitPrefix returns the prefix that limits per address count by: an IPv4 address, or the /64 of
// an IPv6 one, which is what a single subscriber has. An address that is not valid gives a prefix
// that is not valid.
func LimitPrefix(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.WithZone("").Prefix(bits)
	return p
}
