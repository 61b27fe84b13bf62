package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/admin"
	"github.com/tidemark/tidemark/internal/presence"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/auth"
)

// withPresence configures a node that shares presence with other nodes.
func withPresence(name string) func(*server.Options) {
	return func(o *server.Options) {
		o.Node.Name = name
		o.Presence = server.PresenceOptions{Enabled: true, Interval: 20 * time.Millisecond}
	}
}

// get returns the status and the body.
func (r *harness) get(path string, header ...string) (int, string) {
	r.t.Helper()
	resp, body := r.request(http.MethodGet, r.base+path, "", header...)
	return resp.StatusCode, string(body)
}

func (r *harness) connections(path string, header ...string) admin.PresenceList {
	r.t.Helper()
	status, body := r.get(path, header...)
	var answer admin.PresenceList
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		r.t.Errorf("%s: %d %s", path, status, body)
	}
	return answer
}

func (r *harness) awaitConnections(path string, want int) (answer admin.PresenceList) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("%d connections at %s", want, path), func() bool {
		status, body := r.get(path)
		answer = admin.PresenceList{}
		return status == http.StatusOK && json.Unmarshal([]byte(body), &answer) == nil && len(answer.Connections) == want
	})
	return answer
}

func TestPresence_TwoNodes_ListConnectionsOfBoth(t *testing.T) {
	a := newHarness(t, withPresence("a"))
	opts := options(t, a.nc.ConnectedUrl())
	withPresence("b")(&opts)
	opts.Feeds[0].Name = "other"
	b := startNode(t, opts)
	b.awaitReady()

	first := a.listen("/events?user=42", "")
	first.want("tidemark.open")
	b.listen("/events?user=42", "").want("tidemark.open")
	b.listen("/events?user=7", "").want("tidemark.open")
	b.listen("/events", "").want("tidemark.open")
	a.publish("notifications.user.42", 1, 1)
	first.wantNumbers(1, 1)

	for _, r := range []*harness{a, b} {
		r.awaitConnections("/connections", 4)
		var all admin.PresenceList
		r.eventually("the positions, which follow the connects", func() bool {
			all = r.connections("/connections/42")
			return len(all.Connections) == 2 && !slices.ContainsFunc(all.Connections, func(c presence.Connection) bool { return c.Position == "" })
		})
		for _, c := range all.Connections {
			if c.User != "42" || !strings.HasPrefix(c.ID, c.Node+"-") || c.Position == "" || !strings.HasPrefix(c.Remote, "127.0.0.1:") || time.Since(c.Since) > time.Hour {
				t.Errorf("%+v", c)
			}
		}
		r.awaitConnections("/connections?user=42&node=a", 1)
		r.awaitConnections("/connections?node=b", 3)
		r.awaitConnections("/connections?feed=other", 3)
		r.awaitConnections("/connections/nobody", 0)
		r.eventually("the nodes", func() bool {
			got := r.connections("/connections?limit=1")
			return got.Truncated && got.Total == 4 && len(got.Nodes) == 2 && got.Nodes[0].Name == "a" && got.Nodes[1].Connections == 3
		})
		page := r.connections("/connections?limit=3")
		rest := r.connections("/connections?limit=3&after=" + page.Next)
		if len(page.Connections) != 3 || len(rest.Connections) != 1 || rest.Truncated || rest.Next != "" {
			t.Errorf("%+v, then %+v", page, rest)
		}
	}
	if _, body := a.get("/readyz"); !strings.Contains(body, `"node":"a"`) || !strings.Contains(body, `"presence":{`) {
		t.Errorf("/readyz: %s", body)
	}
	first.cancel()
	a.awaitConnections("/connections/42", 1)
	b.stop()
	a.awaitConnections("/connections", 0)
}

// TestPresence_ThroughAnOutage_IsWrittenAgain opens and closes connections while NATS is stopped.
func TestPresence_ThroughAnOutage_IsWrittenAgain(t *testing.T) {
	addr, dir := freeAddr(t), t.TempDir()
	url, stopNATS := startNATS(t, addr, dir)
	opts := options(t, url)
	withPresence("a")(&opts)
	opts.Presence.Events = "tidemark.presence"
	r := startNode(t, opts)
	r.awaitReady()
	stays, goes := r.listen("/events?user=stays", ""), r.listen("/events?user=goes", "")
	stays.want("tidemark.open")
	goes.want("tidemark.open")
	r.awaitConnections("/connections", 2)

	stopNATS()
	r.eventually("not ready without NATS", func() bool { return r.status("/readyz") == http.StatusServiceUnavailable })
	goes.cancel()
	comes := r.listen("/events?user=comes&from=all", "")
	if status, body := r.get("/connections"); status != http.StatusServiceUnavailable || !strings.Contains(body, "NATS") {
		t.Errorf("without NATS: %d %s", status, body)
	}
	startNATS(t, addr, dir)
	r.awaitReady()
	comes.want("tidemark.open")
	r.eventually("the connections", func() bool {
		status, body := r.get("/connections")
		return status == http.StatusOK && strings.Contains(body, "stays") && strings.Contains(body, "comes") && !strings.Contains(body, "goes")
	})
}

func TestPresence_Off_Answers404(t *testing.T) {
	r := newHarness(t, nil)
	for _, path := range []string{"/connections", "/connections/42", "/connections?user=42"} {
		if status, body := r.get(path); status != http.StatusNotFound || !strings.Contains(body, "presence.enabled") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// TestPresence_WithoutTheRight_IsRefused tries requests without the right to read presence.
func TestPresence_WithoutTheRight_IsRefused(t *testing.T) {
	watch, watchLine, err := auth.NewAPIKey("watch", auth.PresenceRight)
	if err != nil {
		t.Fatal(err)
	}
	post, postLine, err := auth.NewAPIKey("post", ">")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(watchLine+"\n"+postLine+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newHarness(t, func(o *server.Options) {
		byToken(t)(o)
		withPresence("a")(o)
		o.Auth.JWT.PresenceClaim = "presence"
		o.Presence.ByToken = true
		o.Publish.KeysFile = file
	})
	token := func(claims map[string]any) string {
		claims["sub"] = "42"
		if claims["exp"] == nil {
			claims["exp"] = 600
		}
		return "Bearer " + bearerOf(t, claims)
	}
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"no identity":      {nil, http.StatusUnauthorized},
		"a key":            {[]string{"X-API-Key", watch}, http.StatusOK},
		"a bearer key":     {[]string{"Authorization", "Bearer " + watch}, http.StatusOK},
		"another key":      {[]string{"X-API-Key", post}, http.StatusForbidden},
		"an unknown key":   {[]string{"X-API-Key", "tmk_x"}, http.StatusUnauthorized},
		"a token":          {[]string{"Authorization", token(map[string]any{"presence": true})}, http.StatusOK},
		"a user's token":   {[]string{"Authorization", token(map[string]any{})}, http.StatusForbidden},
		"a publisher's":    {[]string{"Authorization", token(map[string]any{"publish": ">"})}, http.StatusForbidden},
		"a denied token":   {[]string{"Authorization", token(map[string]any{"presence": false})}, http.StatusForbidden},
		"an odd claim":     {[]string{"Authorization", token(map[string]any{"presence": "yes"})}, http.StatusBadRequest},
		"an expired token": {[]string{"Authorization", token(map[string]any{"presence": true, "exp": -10})}, http.StatusUnauthorized},
		"a forged token":   {[]string{"Authorization", token(map[string]any{"presence": true}) + "x"}, http.StatusUnauthorized},
	} {
		for _, path := range []string{"/connections", "/connections/42", "/connections?node=a"} {
			status, body := r.get(path, c.header...)
			if status != c.want {
				t.Errorf("%s at %s: %d %s", name, path, status, body)
			}
			if status != http.StatusOK && !strings.Contains(body, `"detail"`) {
				t.Errorf("%s is no problem: %s", name, body)
			}
		}
	}
	// A revoked key grants nothing.
	if err := r.nc.Publish(revocation.Subject, []byte(`{"token":"watch"}`)); err != nil {
		t.Fatal(err)
	}
	r.eventually("the revocation", func() bool {
		status, _ := r.get("/connections", "X-API-Key", watch)
		return status == http.StatusUnauthorized
	})
}

// TestPresence_Dev_AcceptsLoopback checks that without keys only programs of this machine can read presence.
func TestPresence_Dev_AcceptsLoopback(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { withPresence("a")(o); o.HTTP.Hosts = []string{"evil.example.com"} })
	for name, header := range map[string][]string{
		"a rebound name": {"Host", "evil.example.com"},
		"a proxy":        {"X-Forwarded-For", "127.0.0.1"},
	} {
		if status, body := r.get("/connections", header...); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// TestPresence_WrongQueries_AreRefused checks that no part of a request becomes part of a subject.
func TestPresence_WrongQueries_AreRefused(t *testing.T) {
	r := newHarness(t, withPresence("a"))
	r.listen("/events?user=42", "").want("tidemark.open")
	r.awaitConnections("/connections", 1)
	for _, path := range []string{
		"/connections?node=*", "/connections?node=%3E", "/connections?node=a.00", "/connections?node=a%20b", "/connections?node=%0d%0aPUB",
		"/connections?limit=0", "/connections?limit=-1", "/connections?limit=10001", "/connections?limit=x", "/connections?limit=1&limit=2",
		"/connections?after=x", "/connections?after=64.a", "/connections?after=-1.a", "/connections?after=%3E.*",
		"/connections?unknown=1", "/connections?user=1&user=2", "/connections/1?user=2", "/connections?user=%zz",
	} {
		if status, body := r.get(path); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, path := range []string{
		"/connections/*", "/connections/%3E", "/connections/4*", "/connections/%2A.00.%2A", "/connections/a%2Fb", "/connections/%00",
		"/connections/..%2F..%2Fpublish", "/connections/%0d%0aPUB%20x%200", "/connections/" + strings.Repeat("x", 5000), "/connections?user=*",
	} {
		status, body := r.get(path)
		if status != http.StatusOK || !strings.Contains(body, `"connections":[]`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	status, _ := r.post("/connections", "{}")
	if status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
	// Users with unusual names are found by their names.
	for _, user := range []string{"ünï", "a:b@c", "%2e", "<b"} {
		path := "/events?" + "user=" + escape(user)
		r.listen(path, "").want("tidemark.open")
		got := r.awaitConnections("/connections/"+escape(user), 1)
		if names := []string{got.Connections[0].User}; !slices.Equal(names, []string{user}) {
			t.Errorf("%q came back as %q", user, names)
		}
	}
}

// escape writes every byte as %XX, so that path and query cannot parse any as a separator.
func escape(s string) string {
	var out strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&out, "%%%02X", s[i])
	}
	return out.String()
}
