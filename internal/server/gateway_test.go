package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/auth"
)

// byHeader trusts one address as a gateway and this address for X-Forwarded-For.
func byHeader(gateway string, log *testkit.Log) func(*server.Options) {
	return func(o *server.Options) {
		o.Auth.Identity = []string{"header"}
		o.Auth.Header = auth.HeaderOptions{Expires: "X-User-Expires", Trusted: []netip.Prefix{netip.MustParsePrefix(gateway + "/32")}}
		o.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		o.Logger = slog.New(slog.NewJSONHandler(log, nil))
	}
}

func TestHeaderGrant_WhenItEnds_ConnectionIsClosed(t *testing.T) {
	r := newHarness(t, byHeader("127.0.0.1", &testkit.Log{}))
	end := time.Now().Add(4 * time.Second).Truncate(time.Second)
	grants := map[string]*listener{
		"Unix seconds": r.listenAs("/events", "X-User", "42", "X-User-Expires", fmt.Sprint(end.Unix())),
		"RFC 3339":     r.listenAs("/events", "X-User", "42", "X-User-Expires", end.UTC().Format(time.RFC3339)),
	}
	r.publish("notifications.user.42", 1, 1)
	for name, l := range grants {
		l.want("tidemark.open")
		if ev := l.next(); string(ev.Data) != "1" {
			t.Errorf("%s: got %s %s", name, ev.Type, ev.Data)
		}
		if ev := l.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "token-expired" {
			t.Errorf("%s: got %s %s", name, ev.Type, ev.Data)
		}
		if time.Now().Before(end) {
			t.Errorf("%s: closed before the end of the grant", name)
		}
	}
	resp, body := r.request(http.MethodGet, r.base+"/events", "", "X-User", "42", "X-User-Expires", fmt.Sprint(end.Unix()))
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "urn:tidemark:token-expired") {
		t.Errorf("after the end: %s %s", resp.Status, body)
	}
}

// TestHeaderIdentity_OfAnotherSender_IsLoggedAndCounted includes a sender in http.trusted_proxies, which may name
// addresses but not users.
func TestHeaderIdentity_OfAnotherSender_IsLoggedAndCounted(t *testing.T) {
	log := &testkit.Log{}
	r := newHarness(t, byHeader("192.0.2.7", log))
	resp, _ := r.request(http.MethodGet, r.base+"/events", "", "X-User", "alice", "X-User-Expires", "2100-01-01T00:00:00Z", "X-Forwarded-For", "192.0.2.7")
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered with %s", resp.Status)
	}
	r.eventually("the line of the ignored header", func() bool {
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, `"msg":"security: identity header ignored"`) && strings.Contains(line, `"action":"header"`) &&
				strings.Contains(line, "auth.header.trusted") && strings.Contains(line, `"remote":"127.0.0.1:`) && !strings.Contains(line, "alice") {
				return true
			}
		}
		return false
	})
}

func TestHeaderGrant_ThatCannotBeRead_IsInTheSecurityLog(t *testing.T) {
	log := &testkit.Log{}
	r := newHarness(t, byHeader("127.0.0.1", log))
	for value, status := range map[string]int{"soon": http.StatusBadRequest, "1764237600000": http.StatusBadRequest, "1": http.StatusUnauthorized, "": http.StatusUnauthorized} {
		before := len(log.String())
		resp, _ := r.request(http.MethodGet, r.base+"/events", "", "X-User", "42", "X-User-Expires", value)
		if resp.StatusCode != status {
			t.Errorf("%q: answered with %s, want %d", value, resp.Status, status)
		}
		r.eventually("the line of "+value, func() bool {
			text := log.String()[before:]
			return strings.Contains(text, `"action":"login"`) && strings.Contains(text, "X-User-Expires")
		})
	}
}
