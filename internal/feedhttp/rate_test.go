package feedhttp

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

func addr(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func TestLimiter_Rate_WaitsForTokens(t *testing.T) {
	l, now := newLimiter(10, 20), time.Now()
	a, b := addr("192.0.2.1/32"), addr("192.0.2.2/32")
	for i := range 20 {
		if wait := l.reserve(a, 1, now); wait != 0 {
			t.Fatalf("take %d of a burst of 20 waits %v", i+1, wait)
		}
	}
	if wait := l.reserve(a, 1, now); wait != 100*time.Millisecond {
		t.Errorf("the 21st waits %v", wait)
	}
	if wait := l.reserve(a, 5, now); wait != 500*time.Millisecond {
		t.Errorf("five more wait %v", wait)
	}
	if wait := l.reserve(b, 20, now); wait != 0 {
		t.Errorf("another address waits %v", wait)
	}
	if wait := l.reserve(a, 1, now.Add(100*time.Millisecond)); wait != 0 {
		t.Errorf("after its wait it waits %v", wait)
	}
	if wait := l.reserve(b, 1000, now.Add(time.Second)); wait != time.Second {
		t.Errorf("more than a burst waits %v, want until the bucket is full", wait)
	}
	if wait := l.reserve(b, 1000, now.Add(2*time.Second)); wait != 0 {
		t.Errorf("more than a burst waits %v for a full bucket", wait)
	}
	crowd := newLimiter(2000, 20_000) // the defaults of the configuration
	for range 10_000 {
		if crowd.reserve(a, 1, now) != 0 {
			t.Fatal("ten thousand at once are too many")
		}
	}
	if newLimiter(0, 5).reserve(a, 100, now) != 0 {
		t.Error("no rate is a limit")
	}
}

// An address in use keeps its bucket, and unused ones are dropped.
func TestLimiter_ManyAddresses_IsBounded(t *testing.T) {
	l, now := newLimiter(1, 2), time.Now()
	l.most = 100
	busy := addr("203.0.113.7/32")
	granted := 0
	for i := range 10_000 {
		if l.reserve(busy, 1, now) == 0 {
			granted++
		}
		l.reserve(addr(fmt.Sprintf("10.0.%d.%d/32", i/256, i%256)), 1, now)
		if len(l.buckets) > 100 || l.recent.Len() != len(l.buckets) {
			t.Fatalf("%d buckets, %d in order", len(l.buckets), l.recent.Len())
		}
	}
	if granted != 2 {
		t.Errorf("the busy one was granted %d, want its burst of 2", granted)
	}
	now = now.Add(time.Hour)
	for i := range 60 {
		l.reserve(addr(fmt.Sprintf("10.1.0.%d/32", i)), 1, now)
	}
	if len(l.buckets) != 60 {
		t.Errorf("%d buckets an hour later, want those of the 60 that came", len(l.buckets))
	}
}

func TestAddressOf_EachKind_IsGrouped(t *testing.T) {
	proxies := []netip.Prefix{addr("10.0.0.0/8"), addr("fd00::/8")}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:5", "", "192.0.2.1/32"},
		{"192.0.2.1:5", "198.51.100.9", "192.0.2.1/32"}, // not trusted
		{"10.0.0.1:5", "198.51.100.9", "198.51.100.9/32"},
		{"10.0.0.1:5", "203.0.113.1, 198.51.100.9, 10.0.0.2", "198.51.100.9/32"},
		{"10.0.0.1:5", "rubbish", "10.0.0.1/32"},
		{"[2001:db8:1:2:3::4]:5", "", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:ffff::]:5", "", "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.1]:5", "", "192.0.2.1/32"},
		{"[fd00::1]:5", "2001:db8:a:b::c", "2001:db8:a:b::/64"},
		{"@", "", "invalid Prefix"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := addressOf(r, proxies); got.String() != c.want {
			t.Errorf("%s for %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}
