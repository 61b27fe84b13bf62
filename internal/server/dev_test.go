package server_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
)

// TestDev_Off_LoopbackHasNoRights covers a proxy on the same machine that adds no header. All its clients seem to
// be loopback, so that loopback must not be a user, a publisher or an operator.
func TestDev_Off_LoopbackHasNoRights(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		withPresence("a")(o)
		o.Dev, o.Publish.Enabled = false, false
	})
	for name, c := range map[string]struct{ method, path, hint string }{
		"a user":               {"GET", "/events?user=alice", "--dev"},
		"an empty user":        {"GET", "/events?user=", "--dev"},
		"a user, escaped":      {"GET", "/events?u%73er=alice", "--dev"},
		"a user among others":  {"GET", "/events?subject=notifications.city.x&user=alice", "--dev"},
		"a user's connections": {"GET", "/connections?user=alice", "--dev"},
		"connections":          {"GET", "/connections", "--dev"},
		"metrics":              {"GET", "/metrics", "admin.addr"},
		"publish":              {"POST", "/publish", "publish.keys"},
		"send-message":         {"POST", "/api/events/send-message", "publish.keys"},
	} {
		resp, body := r.request(c.method, r.base+c.path, `{"subject":"notifications.broadcast","data":"x"}`)
		if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusNotFound || !strings.Contains(string(body), c.hint) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	l := r.listen("/events", "")
	l.want("tidemark.open")
	r.publish("notifications.user.alice", 1, 1)
	r.publish("notifications.broadcast", 2, 2)
	l.want("2")
	var hints bytes.Buffer
	if err := r.srv.WriteBanner(&hints); err != nil || strings.Contains(hints.String(), "user=") || !strings.Contains(hints.String(), "--dev") {
		t.Errorf("%v %s", err, hints.String())
	}
}
