package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/auth"
)

// readiness returns the status of /readyz, and its detail about revocations.
func (r *harness) readiness() (status, detail string) {
	r.t.Helper()
	_, body := get(r.t, r.base+"/readyz", "")
	var h health.Report
	if err := json.Unmarshal(body, &h); err != nil {
		r.t.Fatal(err)
	}
	return h.Status, h.Checks["revocations"]
}

func (r *harness) revoke(rev auth.Revocation) {
	r.t.Helper()
	if err := revocation.Store(r.t.Context(), r.js, rev); err != nil {
		r.t.Fatal(err)
	}
}

func TestRevocations_NodeStartsLater_AppliesStoredOnes(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	change := byToken(t)
	node := func() *harness {
		opts := options(t, url)
		change(&opts)
		opts.Auth.JWT.Leeway = 30 * time.Second
		r := startNode(t, opts)
		r.connect(url)
		r.awaitReady()
		return r
	}
	tokens := map[string]string{}
	for name, claims := range map[string]map[string]any{
		"neither iat nor jti": {"sub": "42", "exp": 60}, "jti": {"sub": "42", "exp": 60, "jti": "a"},
		"iat": {"sub": "42", "exp": 60, "iat": -10}, "iat ahead": {"sub": "42", "exp": 60, "iat": 20},
		"another user": {"sub": "43", "exp": 60},
	} {
		tokens[name] = bearerOf(t, claims)
	}
	check := func(r *harness, revoked bool) {
		t.Helper()
		for name, token := range tokens {
			want := http.StatusOK
			if revoked && name != "another user" {
				want = http.StatusUnauthorized
			}
			resp, _ := r.request(http.MethodHead, r.base+"/events", "", "Authorization", "Bearer "+token)
			if resp.StatusCode != want {
				t.Errorf("%s: %d, want %d", name, resp.StatusCode, want)
			}
		}
	}
	first := node()
	check(first, false)
	first.revoke(auth.Revocation{User: "42"})
	first.eventually("the revocation to take effect", func() bool { return first.status("/events?access_token="+tokens["iat"]) == http.StatusUnauthorized })
	check(first, true)
	first.stop()
	second := node()
	check(second, true)
	if status, detail := second.readiness(); status != "ok" || detail != "ok" {
		t.Errorf("/readyz: %s, revocations: %s", status, detail)
	}
}

// A node that has no connection to NATS while a revocation is stored receives it afterwards.
func TestRevocations_NATSRestarts_NoneIsMissed(t *testing.T) {
	dir := t.TempDir()
	addr := freeAddr(t)
	url, stop := startNATS(t, addr, dir)
	opts := options(t, url)
	byToken(t)(&opts)
	r := startNode(t, opts)
	r.connect(url)
	r.awaitReady()
	r.revoke(auth.Revocation{User: "1"})
	stop()
	startNATS(t, addr, dir)
	// Messages sent before the client has detected the restart are lost with the old connection.
	r.eventually("connected again", func() bool { return r.nc.Stats().Reconnects > 0 && r.nc.IsConnected() })
	r.revoke(auth.Revocation{User: "2"})
	for _, user := range []string{"1", "2"} {
		token := bearerOf(t, map[string]any{"sub": user, "exp": 60})
		r.eventually("user "+user+" is refused", func() bool { return r.status("/events?access_token="+token) == http.StatusUnauthorized })
	}
	r.awaitReady()
}

func TestRevocations_StreamDeleted_IsCreatedAgain(t *testing.T) {
	r := newHarness(t, byToken(t))
	if err := r.js.DeleteStream(t.Context(), revocation.Stream); err != nil {
		t.Fatal(err)
	}
	r.eventually("the stream exists again", func() bool {
		return revocation.Store(t.Context(), r.js, auth.Revocation{User: "42"}) == nil
	})
	token := bearerOf(t, map[string]any{"sub": "42", "exp": 60})
	r.eventually("the revocation to take effect", func() bool { return r.status("/events?access_token="+token) == http.StatusUnauthorized })
	r.awaitReady()
}

// Another stream has the subject, so that the stream of revocations cannot exist.
func TestRevocations_NotStorable_NodeServesAndReportsIt(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	opts := options(t, url)
	byToken(t)(&opts)
	opts.Admin.Addr = "127.0.0.1:0"
	first := &harness{t: t}
	first.connect(url)
	if _, err := first.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ALL", Subjects: []string{"tidemark.>"}}); err != nil {
		t.Fatal(err)
	}
	r := startNode(t, opts)
	r.connect(url)
	r.awaitReady()
	if status, detail := r.readiness(); status != "degraded" || !strings.Contains(detail, "not stored") {
		t.Errorf("/readyz: %s, revocations: %s", status, detail)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := revocation.Store(ctx, r.js, auth.Revocation{User: "42"}); err == nil || !strings.Contains(err.Error(), revocation.Stream) {
		t.Errorf("revoking: %v", err)
	}
	if status := r.operate(nil, "POST", "/admin/revoke", `{"user":"41"}`); status != http.StatusServiceUnavailable {
		t.Errorf("revoking over HTTP: %d", status)
	}
	if err := r.nc.Publish(revocation.Subject, []byte(`{"user":"42"}`)); err != nil {
		t.Fatal(err)
	}
	token := bearerOf(t, map[string]any{"sub": "42", "exp": 60})
	r.eventually("the revocation to take effect", func() bool { return r.status("/events?access_token="+token) == http.StatusUnauthorized })
}

func TestRevocations_NotPermitted_NodeServesAndReportsIt(t *testing.T) {
	for _, dropped := range []string{"$JS.API.STREAM.INFO.TIDEMARK_REVOCATIONS", "$JS.API.STREAM.CREATE.TIDEMARK_REVOCATIONS", "$JS.API.CONSUMER.CREATE.TIDEMARK_REVOCATIONS.>"} {
		t.Run(dropped, func(t *testing.T) {
			g := startGuarded(t, func(_ string, p *natsserver.Permissions) { p.Publish.Allow = without(p.Publish.Allow, dropped) })
			g.createStream(testStream())
			r := g.node(userRead, nil)
			r.eventually("the log line", func() bool {
				status, detail := r.readiness()
				return status == "degraded" && strings.Contains(detail, "not stored")
			})
		})
	}
}

func TestRevocations_StreamIsFull_RevokingFails(t *testing.T) {
	change := byToken(t)
	r := newHarness(t, func(o *server.Options) {
		change(o)
		o.Auth.JWT.Leeway, o.Auth.JWT.MaxLifetime = time.Minute, time.Hour
	})
	s, err := r.js.Stream(t.Context(), revocation.Stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	if cfg.Discard != jetstream.DiscardNew || cfg.MaxAge != 61*time.Minute || cfg.MaxMsgs <= 0 || cfg.MaxBytes <= 0 {
		t.Errorf("the stream: %+v", cfg)
	}
	cfg.MaxMsgs = 1
	if _, err := r.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	r.revoke(auth.Revocation{User: "1"})
	if err := revocation.Store(t.Context(), r.js, auth.Revocation{User: "2"}); err == nil {
		t.Error("a revocation that is not stored is acknowledged")
	}
}

func TestAdminRevoke_Stored_Answers204(t *testing.T) {
	change := byToken(t)
	r := newHarness(t, func(o *server.Options) { change(o); o.Admin.Addr = "127.0.0.1:0" })
	for body, want := range map[string]int{`{"user":"42"}`: http.StatusNoContent, `{"usr":"42"}`: http.StatusBadRequest, "": http.StatusBadRequest} {
		if status := r.operate(nil, "POST", "/admin/revoke", body); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
	token := bearerOf(t, map[string]any{"sub": "42", "exp": 60})
	r.eventually("the revocation to take effect", func() bool { return r.status("/events?access_token="+token) == http.StatusUnauthorized })
}

// identity requests the tag of a caller.
func (r *harness) identity(path string, header ...string) string {
	r.t.Helper()
	resp, body := r.request(http.MethodGet, r.base+path, "", header...)
	var answer struct{ Identity string }
	if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode != http.StatusOK || len(answer.Identity) != 22 {
		r.t.Fatalf("%s: %s %s %v", path, resp.Status, body, err)
	}
	if got := resp.Header.Get("Cache-Control"); got != "private, no-store" || !strings.Contains(strings.Join(resp.Header.Values("Vary"), ","), "Cookie") {
		r.t.Errorf("Cache-Control: %s, Vary: %q", got, resp.Header.Values("Vary"))
	}
	return answer.Identity
}

func TestIdentity_TwoNodes_HaveTheSameTags(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	var nodes []*harness
	for range 2 {
		r := startNode(t, options(t, url))
		r.connect(url)
		nodes = append(nodes, r)
	}
	for _, r := range nodes {
		r.awaitReady()
	}
	one := nodes[0].identity("/identity?user=42")
	if nodes[1].identity("/api/events/identity?user=42") != one || nodes[0].identity("/identity?user=43") == one || nodes[0].identity("/identity") == one {
		t.Error("the tags of accounts differ between two nodes, or are equal for two accounts")
	}
}

func TestIdentity_ResumeOfAnotherAccount_PositionIsIgnored(t *testing.T) {
	r := newHarness(t, nil)
	r.publish("notifications.broadcast", 1, 3)
	mine, other := r.identity("/identity?user=42"), r.identity("/identity?user=43")
	for tag, resumed := range map[string]string{mine: "true", other: "false", "": "true"} {
		l := r.listen("/events?user=42&identity="+tag, "1")
		open := l.next()
		if open.Type != "tidemark.open" || field(open.Data, "identity") != mine || field(open.Data, "resumed") != resumed ||
			strings.Contains(string(open.Data), "identity_changed") != (tag == other) {
			t.Errorf("%q: %s %s", tag, open.Type, open.Data)
		}
		l.cancel()
	}
	l := r.listen("/events?user=42&from=2&identity="+other, "1")
	l.want("tidemark.open")
	l.wantNumbers(2, 3)
	l.cancel()
}

func TestIdentity_Refused_AnswersAsFeedsDo(t *testing.T) {
	r := newHarness(t, byToken(t))
	for header, want := range map[string]int{"": http.StatusUnauthorized, "Bearer nonsense": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.base+"/identity", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %s", header, resp.Status)
		}
	}
}
