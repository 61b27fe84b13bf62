package auth

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Everyone are prefixes that hold every address: whoever connects is trusted. Only where
// nobody but the gateway can connect.
func Everyone() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
}

// maxHops bounds the proxies that a request may have come through.
const maxHops = 32

// ClientAddr returns the client's address as the trusted proxies tell it: the right-most of
// X-Forwarded-For that is not a trusted proxy itself. What stands left of it the client may
// have written. Where the peer is not trusted, it is the client; where an entry is no
// address, or everything is a trusted proxy, the last one known is, at most 32 proxies away.
//
// Addresses are without a zone, and IPv4 ones are plain. The result is not valid when the
// connection has no IP address, as a Unix socket has none.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return walk(PeerAddr(r), r.Header.Values("X-Forwarded-For"), trusted, parseAddr)
}

// ClientAddrForwarded is ClientAddr for proxies that set Forwarded (RFC 7239) instead. Take
// the one that the proxies overwrite or append to: the other is the client's to forge.
func ClientAddrForwarded(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return walk(PeerAddr(r), r.Header.Values("Forwarded"), trusted, forwardedFor)
}

// walk goes from the peer towards the client, from right to left.
func walk(addr netip.Addr, lines []string, trusted []netip.Prefix, parse func(string) netip.Addr) netip.Addr {
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

// lastEntry cuts the right-most entry off a list, at the last comma outside of quotes. It
// reads from the right, so that a quote which the client left open cannot swallow what a
// proxy appended.
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

// forwardedFor reads the `for` of an element of Forwarded. Hidden and unknown ones are no
// address, and neither is what has two.
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

// PeerAddr returns the address of the other end of the TCP connection, in the form of [ClientAddr].
func PeerAddr(r *http.Request) netip.Addr { return parseAddr(r.RemoteAddr) }

// parseAddr reads an address, with a port or without; what it cannot read is not valid.
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

// trusts reports whether an address is one of the trusted proxies'.
func trusts(trusted []netip.Prefix, addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return unmap(p).Contains(addr) })
}

// TrustsAddr reports whether an address is within one of the prefixes, as [ClientAddr] compares them.
func TrustsAddr(trusted []netip.Prefix, addr netip.Addr) bool { return trusts(trusted, addr.Unmap()) }

// unmap makes ::ffff:10.0.0.0/104 into 10.0.0.0/8: addresses are compared unmapped.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
