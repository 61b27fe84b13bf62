// Package hostname decides which Host names of HTTP requests a listener serves.
//
// Use it against DNS rebinding: a page whose name was changed to the address of a service sends its own
// name as Host, and the service rejects the request.
package hostname

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Allowed contains the host names of one listener. The zero value allows every name. It does not change
// after New, and is safe for concurrent use.
type Allowed struct {
	loopback bool // the listener is on a loopback address
	names    map[string]bool
	domains  []string // ".example.com" for *.example.com
}

// New returns the names for a listener bound to an address. [Check] must accept each name. The listener
// always allows:
//
//   - localhost and the names below it, which resolvers do not look up (RFC 6761, 6.3);
//   - IP literals, which cannot be rebound: all if the listener is reachable from other machines, for
//     probes and scrapes, and those of loopback otherwise;
//   - an empty Host, which HTTP/1.0 permits and browsers do not send.
//
// Without names, a listener that is reachable from other machines allows every name.
func New(bound net.Addr, names []string) *Allowed {
	a := &Allowed{names: make(map[string]bool, len(names))}
	if tcp, ok := bound.(*net.TCPAddr); ok {
		a.loopback = tcp.IP.IsLoopback()
	}
	for _, name := range names {
		name = strings.ToLower(name)
		if domain, ok := strings.CutPrefix(name, "*"); ok {
			a.domains = append(a.domains, domain)
		} else {
			a.names[name] = true
		}
	}
	return a
}

// Check returns an error for an invalid name. Valid are a host name without a port, and *. with a domain
// for all names below it.
func Check(name string) error {
	domain, wild := strings.CutPrefix(name, "*.")
	if _, err := netip.ParseAddr(domain); err == nil {
		if wild {
			return errors.New("an IP address has no names below it")
		}
		return nil
	}
	if strings.ContainsAny(domain, ":/*@[] \t") || domain == "" || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") {
		return fmt.Errorf("%q is not a host name; write it without scheme and port, such as events.example.com, or *.example.com", name)
	}
	return nil
}

// Loopback reports whether the listener is on a loopback address.
func (a *Allowed) Loopback() bool { return a.loopback }

// Allows reports whether the listener allows a Host, with or without a port.
func (a *Allowed) Allows(host string) bool {
	if host == "" {
		return true
	}
	name := strings.ToLower(strings.TrimSuffix(withoutPort(host), "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || a.names[name] {
		return true
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return !a.loopback || addr.Unmap().IsLoopback()
	}
	for _, domain := range a.domains {
		if strings.HasSuffix(name, domain) {
			return true
		}
	}
	return !a.loopback && len(a.names) == 0 && len(a.domains) == 0
}

// withoutPort removes a port and the brackets of an IPv6 address.
func withoutPort(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		name, _, _ := strings.Cut(inner, "]")
		return name
	}
	name, _, _ := strings.Cut(host, ":")
	return name
}
