package server_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/auth"
)

// TestSecurityLog_EachRefusal_HasALine: with reason, address and the key's name, and nothing secret.
func TestSecurityLog_EachRefusal_HasALine(t *testing.T) {
	admin, adminLine, err := auth.NewAPIKey("ops", auth.AdminRight)
	if err != nil {
		t.Fatal(err)
	}
	billing, billingLine, err := auth.NewAPIKey("billing", "notifications.topic.>")
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(adminLine+"\n"+billingLine+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &testkit.Log{}
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		withPresence("a")(o)
		o.Publish.KeysFile, o.HTTP.Hosts, o.Dev = keys, []string{"node.example"}, false
		o.Limits.PerUser = 1
		o.Logger = slog.New(slog.NewJSONHandler(log, nil))
	})
	const guess = "tmk_guessguessguess"
	for name, c := range map[string]struct {
		do   func()
		want []string
	}{
		"a login":             {func() { r.ask("GET", r.base+"/events?user=alice", "") }, []string{`"action":"login"`, `"remote":"127.0.0.1`, `"path":"/events"`}},
		"publish, no key":     {func() { r.ask("POST", r.base+"/publish", `{}`) }, []string{`"action":"publish"`}},
		"publish, a guess":    {func() { r.ask("POST", r.base+"/publish", `{}`, "X-API-Key", guess) }, []string{`"action":"publish"`, "unknown API key"}},
		"publish, not theirs": {func() { r.post("/publish", `{"subject":"notifications.broadcast","data":"x"}`, "X-API-Key", billing) }, []string{`"action":"publish"`, `"key":"billing"`}},
		"presence":            {func() { r.ask("GET", r.base+"/connections", "", "X-API-Key", billing) }, []string{`"action":"presence"`, `"key":"billing"`}},
		"operate":             {func() { r.operate(nil, "POST", "/admin/drain", "", "Host", "node.example", "X-API-Key", billing) }, []string{`"action":"operate"`, `"key":"billing"`}},
		"a host":              {func() { r.ask("GET", r.base+"/healthz", "", "Host", "evil.example") }, []string{`"action":"host"`, "evil.example"}},
		"an operator": {func() {
			r.operate(nil, "POST", "/admin/undrain", "", "Host", "node.example", "X-API-Key", admin)
			r.operate(nil, "POST", "/admin/drain", "", "Host", "node.example", "X-API-Key", admin)
		}, []string{`"msg":"operator action"`, `"what":"drain"`, `"key":"ops"`}},
	} {
		before := len(log.String())
		c.do()
		r.eventually(name, func() bool {
			for line := range strings.Lines(log.String()[before:]) {
				found := 0
				for _, want := range c.want {
					if strings.Contains(line, want) {
						found++
					}
				}
				if found == len(c.want) {
					return true
				}
			}
			return false
		})
	}
	for _, secret := range []string{guess, admin, billing} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has the secret %s", secret)
		}
	}
	resp, _ := r.ask("GET", r.base+"/readyz", "")
	if got := resp.Header.Get("Cache-Control"); got != "no-store" || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz while draining: %d, Cache-Control %q", resp.StatusCode, got)
	}
}
