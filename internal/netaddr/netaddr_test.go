package netaddr

import (
	"net/netip"
	"testing"
)

func TestLimitPrefix(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":             "192.0.2.1/32",
		"::ffff:192.0.2.1":      "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6":  "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":  "2001:db8:1:2::/64",
		"2001:db8:1:3::1":       "2001:db8:1:3::/64",
		"fe80::1%eth0":          "fe80::/64",
		"::1":                   "::/64",
		"2001:db8:1:2::1%zone1": "2001:db8:1:2::/64",
	} {
		if got := LimitPrefix(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if got := LimitPrefix(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: %s", got)
	}
}
