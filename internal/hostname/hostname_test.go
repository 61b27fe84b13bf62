package hostname_test

import (
	"net"
	"testing"

	"github.com/tidemark/tidemark/internal/hostname"
)

var (
	loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	beyond   = &net.TCPAddr{IP: net.IPv4zero, Port: 8080}
)

func TestAllows(t *testing.T) {
	for _, tt := range []struct {
		bound net.Addr
		names []string
		host  string
		want  bool
	}{
		{loopback, nil, "localhost:8080", true},
		{loopback, nil, "app.localhost", true},
		{loopback, nil, "LOCALHOST.", true},
		{loopback, nil, "127.0.0.1:8080", true},
		{loopback, nil, "127.8.8.8", true},
		{loopback, nil, "[::1]:8080", true},
		{loopback, nil, "[::ffff:127.0.0.1]", true},
		{loopback, nil, "", true},
		{loopback, nil, "evil.example:8080", false},
		{loopback, nil, "localhost.evil.example", false},
		{loopback, nil, "notlocalhost", false},
		{loopback, nil, "127.0.0.1.evil.example", false},
		{loopback, nil, "192.0.2.1", false},
		{loopback, nil, "[2001:db8::1]", false},
		{loopback, nil, "0x7f.1", false},
		{loopback, []string{"events.example.com"}, "events.example.com:8080", true},
		{loopback, []string{"Events.Example.com"}, "eVents.example.COM.", true},
		{loopback, []string{"events.example.com"}, "example.com", false},
		{loopback, []string{"events.example.com"}, "x.events.example.com", false},
		{loopback, []string{"events.example.com"}, "localhost", true},
		{loopback, []string{"192.0.2.1"}, "192.0.2.1:8080", true},
		{loopback, []string{"*.example.com"}, "a.example.com", true},
		{loopback, []string{"*.example.com"}, "a.b.example.com", true},
		{loopback, []string{"*.example.com"}, "example.com", false},
		{loopback, []string{"*.example.com"}, "evilexample.com", false},
		{beyond, nil, "any.example", true},
		{beyond, []string{"events.example.com"}, "any.example", false},
		{beyond, []string{"*.example.com"}, "any.example", false},
		{beyond, []string{"events.example.com"}, "10.1.2.3:8080", true},
		{beyond, []string{"events.example.com"}, "[fd00::1]:8080", true},
		{beyond, []string{"events.example.com"}, "localhost", true},
		{beyond, []string{"events.example.com"}, "events.example.com", true},
	} {
		if got := hostname.New(tt.bound, tt.names).Allows(tt.host); got != tt.want {
			t.Errorf("at %s with %q: Allows(%q) = %t", tt.bound, tt.names, tt.host, got)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, want := range map[string]bool{
		"events.example.com": true, "*.example.com": true, "localhost": true, "192.0.2.1": true, "2001:db8::1": true,
		"": false, "*": false, "*.": false, "https://events.example.com": false, "events.example.com:443": false, "a*.example.com": false,
		".example.com": false, "example.com.": false, "*.192.0.2.1": false, "a b": false, "example.com/x": false,
	} {
		if err := hostname.Check(name); (err == nil) != want {
			t.Errorf("Check(%q) = %v", name, err)
		}
	}
}
