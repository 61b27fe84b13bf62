package auth_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

var gateways = prefixes("10.0.0.0/8", "2001:db8::/32")

func TestClientAddr(t *testing.T) {
	for _, c := range []struct {
		peer  string
		lines []string
		want  string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1"}, // forged
		{"10.0.0.1:5", nil, "10.0.0.1"},
		{"10.0.0.1:5", []string{""}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:5", []string{" 198.51.100.7 "}, "198.51.100.7"},
		{"10.0.0.1:5", []string{"127.0.0.1, 198.51.100.7"}, "198.51.100.7"}, // forged on the left
		{"10.0.0.1:5", []string{"127.0.0.1,198.51.100.7,10.2.2.2"}, "198.51.100.7"},
		{"10.0.0.1:5", []string{"127.0.0.1", "198.51.100.7", "10.2.2.2, 10.3.3.3"}, "198.51.100.7"},
		{"10.0.0.1:5", []string{"10.4.4.4, 10.3.3.3"}, "10.4.4.4"}, // a client within the gateways' net
		{"10.0.0.1:5", []string{"198.51.100.7, garbage"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7, garbage, 10.2.2.2"}, "10.2.2.2"},
		{"10.0.0.1:5", []string{"198.51.100.7, , 10.2.2.2"}, "10.2.2.2"},
		{"10.0.0.1:5", []string{"198.51.100.7,"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7", "unknown"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"010.0.0.1"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7:443"}, "198.51.100.7"},
		{"10.0.0.1:5", []string{"[2001:db9::1]:443"}, "2001:db9::1"},
		{"10.0.0.1:5", []string{"[2001:db9::1]"}, "2001:db9::1"},
		{"10.0.0.1:5", []string{"2001:db9::1"}, "2001:db9::1"},
		{"10.0.0.1:5", []string{"2001:db9::1, 2001:db8::9"}, "2001:db9::1"},
		{"10.0.0.1:5", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:5", []string{"198.51.100.7, ::ffff:10.9.9.9"}, "198.51.100.7"},
		{"[::ffff:10.0.0.1]:5", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[2001:db8::5%eth0]:5", []string{"fe80::1%eth1"}, "fe80::1"},
		{"@", []string{"198.51.100.7"}, "invalid IP"},
		{"10.0.0.1:5", []string{"198.51.100.7\x00"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{strings.Repeat("9", 1<<16)}, "10.0.0.1"},
	} {
		r := from(c.peer)
		r.Header["X-Forwarded-For"] = c.lines
		r.Header.Set("Forwarded", "for=203.0.113.1")
		r.Header.Set("X-Real-Ip", "203.0.113.1")
		if got := auth.ClientAddr(r, gateways); got.String() != c.want {
			t.Errorf("%s, %q: %s, want %s", c.peer, c.lines, got, c.want)
		}
		if got := auth.ClientAddr(r, nil).String(); got != netip.MustParseAddrPort(withoutZone(c.peer)).Addr().Unmap().String() && c.peer != "@" {
			t.Errorf("%s, %q: %s, where nobody is trusted", c.peer, c.lines, got)
		}
	}
}

func withoutZone(peer string) string {
	if peer == "@" {
		return "192.0.2.1:1"
	}
	return strings.ReplaceAll(peer, "%eth0", "")
}

func TestClientAddrForwarded(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{nil, "10.0.0.1"},
		{[]string{"for=198.51.100.7"}, "198.51.100.7"},
		{[]string{"For=\"198.51.100.7:47\";proto=https;by=10.0.0.1"}, "198.51.100.7"},
		{[]string{"proto=https; FOR=\"[2001:db9::1]:47\""}, "2001:db9::1"},
		{[]string{"for=\"[2001:db9::1]\""}, "2001:db9::1"},
		{[]string{"for=127.0.0.1, for=198.51.100.7;host=\"a,b\", for=10.2.2.2"}, "198.51.100.7"},
		{[]string{"for=127.0.0.1", "for=198.51.100.7"}, "198.51.100.7"},
		{[]string{"for=\"evil", "for=198.51.100.7"}, "198.51.100.7"},
		{[]string{"for=\"evil, for=198.51.100.7"}, "198.51.100.7"}, // a quote left open swallows nothing
		{[]string{"for=\"evil, for=10.2.2.2"}, "10.2.2.2"},
		{[]string{"for=_hidden, for=10.2.2.2"}, "10.2.2.2"},
		{[]string{"for=unknown"}, "10.0.0.1"},
		{[]string{"proto=https"}, "10.0.0.1"},
		{[]string{"for=198.51.100.7;for=198.51.100.8"}, "10.0.0.1"},
		{[]string{"198.51.100.7"}, "10.0.0.1"},
		{[]string{"for="}, "10.0.0.1"},
	} {
		r := from("10.0.0.1:5", "X-Forwarded-For", "203.0.113.1")
		r.Header["Forwarded"] = c.lines
		if got := auth.ClientAddrForwarded(r, gateways); got.String() != c.want {
			t.Errorf("%q: %s, want %s", c.lines, got, c.want)
		}
	}
	if got := auth.ClientAddrForwarded(from("192.0.2.1:5", "Forwarded", "for=198.51.100.7"), gateways); got.String() != "192.0.2.1" {
		t.Errorf("forged: %s", got)
	}
}

// A client within the gateways' network may send as many entries as fit into a header.
func TestClientAddrIsBounded(t *testing.T) {
	r := from("10.0.0.1:5", "X-Forwarded-For", "198.51.100.7"+strings.Repeat(", 10.1.1.1", 10_000))
	if got := auth.ClientAddr(r, gateways); got.String() != "10.1.1.1" {
		t.Errorf("%s", got)
	}
}

func FuzzClientAddr(f *testing.F) {
	f.Add("198.51.100.7, 10.2.2.2", "for=198.51.100.7")
	f.Add(",,", "for=\"[::1]:8\";for, \"")
	f.Fuzz(func(t *testing.T, forwardedFor, forwarded string) {
		r := from("10.0.0.1:5")
		r.Header = http.Header{"X-Forwarded-For": {forwardedFor}, "Forwarded": {forwarded}}
		for _, got := range []netip.Addr{auth.ClientAddr(r, gateways), auth.ClientAddrForwarded(r, gateways)} {
			if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
				t.Errorf("%q, %q: %s", forwardedFor, forwarded, got)
			}
		}
	})
}
