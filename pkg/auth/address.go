package auth

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// AnyAddress returns prefixes of all addresses. Use them as trusted addresses only if no program except
// the gateway can connect.
func AnyAddress() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
}

// maxHops is the largest number of proxies evaluated for a request.
const maxHops = 32

// ClientAddr returns the client's address according to the trusted proxies: the right-most address of
// X-Forwarded-For outside of trusted.
//
//   - Entries to the left of it are ignored, because the client may have written them.
//   - If the peer is not trusted, the result is the peer's address.
//   - If an entry is not an address, or all are trusted, the result is the last valid address, at most 32
//     proxies away.
//
// The result has no zone, and IPv4 addresses are not mapped to IPv6. It is invalid if the connection has
// no IP address, for example on a Unix socket.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return walkForwarded(PeerAddr(r), r.Header.Values("X-Forwarded-For"), trusted, parseAddr)
}

// ClientAddrForwarded is like ClientAddr, but reads the header Forwarded (RFC 7239). Use the function for
// the header set by your proxies: clients can forge the other one.
func ClientAddrForwarded(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return walkForwarded(PeerAddr(r), r.Header.Values("Forwarded"), trusted, forwardedFor)
}

// walkForwarded follows the entries from the peer towards the client, from right to left.
func walkForwarded(addr netip.Addr, lines []string, trusted []netip.Prefix, parse func(string) netip.Addr) netip.Addr {
	hops := 0
	for _, line := range slices.Backward(lines) {
		for more := true; more; hops++ {
			if hops == maxHops || !trusts(trusted, addr) {
				return addr
			}
			var entry string
			line, entry, more = lastEntry(line)
			next := parse(strings.TrimSpace(entry))
			if !next.IsValid() {
				return addr
			}
			addr = next
		}
	}
	return addr
}

// lastEntry splits off the right-most entry of a list, at the last comma outside of quotes. It scans from
// the right, so that an open quote of the client cannot hide the entries appended by proxies.
func lastEntry(line string) (rest, entry string, more bool) {
	quoted := false
	for i := len(line) - 1; i >= 0; i-- {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ',' && !quoted:
			return line[:i], line[i+1:], true
		}
	}
	return "", line, false
}

// forwardedFor returns the `for` address of an element of Forwarded. The result is invalid if the
// address is hidden or unknown, or if there are two.
func forwardedFor(element string) (addr netip.Addr) {
	found := false
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if found {
			return netip.Addr{}
		}
		found = true
		if inner, ok := strings.CutPrefix(value, `"`); ok {
			value, _ = strings.CutSuffix(inner, `"`)
		}
		addr = parseAddr(value)
	}
	return addr
}

// PeerAddr returns the remote address of the TCP connection, in the form of [ClientAddr].
func PeerAddr(r *http.Request) netip.Addr { return parseAddr(r.RemoteAddr) }

// parseAddr parses an address with an optional port. For other text the result is invalid.
func parseAddr(s string) netip.Addr {
	if with, err := netip.ParseAddrPort(s); err == nil {
		return with.Addr().Unmap().WithZone("")
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s, _ = strings.CutSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// trusts reports whether an address belongs to a trusted proxy.
func trusts(trusted []netip.Prefix, addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return unmap(p).Contains(addr) })
}

// TrustsAddr reports whether an address is within one of the prefixes, with the rules of [ClientAddr].
func TrustsAddr(trusted []netip.Prefix, addr netip.Addr) bool { return trusts(trusted, addr.Unmap()) }

// unmap converts ::ffff:10.0.0.0/104 to 10.0.0.0/8, because addresses are compared unmapped.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
