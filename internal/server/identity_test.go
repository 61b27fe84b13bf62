package server_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/auth"
)

const tokenSecret = "a secret of thirty-two bytes, or more"

// bearerOf signs claims. An int in exp, iat or nbf is a number of seconds from now.
func bearerOf(t *testing.T, claims map[string]any) string {
	t.Helper()
	for _, name := range []string{"exp", "iat", "nbf"} {
		if seconds, ok := claims[name].(int); ok {
			claims[name] = time.Now().Unix() + int64(seconds)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(tokenSecret)}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// byToken configures a node to read identities from tokens, and to permit publishing by a claim.
func byToken(t *testing.T) func(*server.Options) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(tokenSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(o *server.Options) {
		o.Auth = server.AuthOptions{Identity: []string{"jwt"}, JWT: auth.JWTOptions{
			SecretFile: file, Query: true, Leeway: -1,
			Claims:     map[string]string{"user": "sub"},
			WidenClaim: "more", NarrowClaim: "only", PublishClaim: "publish",
		}}
		o.Publish.ByToken = true
	}
}

func TestToken_Claims_DecideTheSubjects(t *testing.T) {
	r := newHarness(t, byToken(t))
	r.publish("notifications.user.42", 1, 1)
	r.publish("notifications.user.43", 1, 1)
	r.publish("notifications.broadcast", 2, 2)
	r.publish("notifications.city.oslo", 3, 3)
	r.publish("notifications.secret.a", 4, 4)
	for name, c := range map[string]struct {
		claims  map[string]any
		query   string
		numbers []string
	}{
		"as the feed gives":    {map[string]any{"sub": "42"}, "", []string{"1", "2"}},
		"more requested":       {map[string]any{"sub": "42"}, "&subject=notifications.city.oslo", []string{"1", "2", "3"}},
		"widened":              {map[string]any{"sub": "42", "more": []string{"notifications.secret.*"}}, "&subject=notifications.secret.a", []string{"1", "2", "4"}},
		"narrowed":             {map[string]any{"sub": "42", "only": []string{"notifications.user.>"}}, "", []string{"1"}},
		"narrowed and widened": {map[string]any{"sub": "42", "only": []string{"notifications.secret.>"}, "more": []string{"notifications.>"}}, "&subject=notifications.>", []string{"4"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.claims["exp"] = 60
			l := r.listen("/events?from=all&access_token="+bearerOf(t, c.claims)+c.query, "")
			l.want("tidemark.open")
			for _, want := range c.numbers {
				if ev := l.next(); string(ev.Data) != want {
					t.Errorf("got %q, want %s", ev.Data, want)
				}
			}
		})
	}
}

func TestToken_Invalid_IsRefused(t *testing.T) {
	r := newHarness(t, byToken(t))
	for name, c := range map[string]struct {
		token, query string
		status       int
	}{
		"none":                  {"", "", http.StatusUnauthorized},
		"expired":               {bearerOf(t, map[string]any{"sub": "42", "exp": -5}), "", http.StatusUnauthorized},
		"not yet":               {bearerOf(t, map[string]any{"sub": "42", "exp": 60, "nbf": 30}), "", http.StatusUnauthorized},
		"of another":            {bearerOf(t, map[string]any{"sub": "42", "exp": 60}) + "x", "", http.StatusUnauthorized},
		"a user that is long":   {bearerOf(t, map[string]any{"sub": strings.Repeat("x", 256), "exp": 60}), "", http.StatusBadRequest},
		"exp in milliseconds":   {bearerOf(t, map[string]any{"sub": "42", "exp": time.Now().Add(time.Hour).UnixMilli()}), "", http.StatusUnauthorized},
		"another's subject":     {bearerOf(t, map[string]any{"sub": "42", "exp": 60}), "?subject=notifications.user.43", http.StatusForbidden},
		"wildcard":              {bearerOf(t, map[string]any{"sub": "42", "exp": 60}), "?subject=notifications.user.*", http.StatusForbidden},
		"nothing is left of it": {bearerOf(t, map[string]any{"sub": "42", "exp": 60, "only": []string{"other.>"}}), "", http.StatusForbidden},
	} {
		req, _ := http.NewRequest(http.MethodGet, r.base+"/events"+c.query, nil)
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var p struct{ Type, Detail string }
		err = json.NewDecoder(resp.Body).Decode(&p)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || p.Detail == "" || c.token != "" && strings.Contains(p.Detail, c.token) {
			t.Errorf("%s: %s, %+v, %v", name, resp.Status, p, err)
		}
		if challenge := resp.Header.Get("WWW-Authenticate"); (resp.StatusCode == http.StatusUnauthorized) != (challenge != "") {
			t.Errorf("%s: %s with the challenge %q", name, resp.Status, challenge)
		}
		if (p.Type == "urn:tidemark:token-expired") != (name == "expired") {
			t.Errorf("%s: the type %s", name, p.Type)
		}
	}
}

// TestToken_Expires_ClosesTheConnection checks a connection that is open at the expiry.
func TestToken_Expires_ClosesTheConnection(t *testing.T) {
	eachEngine(t, testTokenExpiresClosesTheConnection)
}

func testTokenExpiresClosesTheConnection(t *testing.T) {
	r := newHarness(t, byToken(t))
	l := r.listen("/events?access_token="+bearerOf(t, map[string]any{"sub": "42", "exp": 2}), "")
	l.want("tidemark.open")
	if ev := l.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "token-expired" {
		t.Errorf("got %s %s", ev.Type, ev.Data)
	}
}

// TestRevoke_User_ClosesConnectionsOnEveryNode checks also that connections of other users stay open.
func TestRevoke_User_ClosesConnectionsOnEveryNode(t *testing.T) {
	eachEngine(t, testRevokeUserClosesConnectionsOnEveryNode)
}

func testRevokeUserClosesConnectionsOnEveryNode(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	change := byToken(t)
	var nodes []*harness
	for range 2 {
		opts := options(t, url)
		change(&opts)
		node := startNode(t, opts)
		node.connect(url)
		node.awaitReady()
		nodes = append(nodes, node)
	}
	old := bearerOf(t, map[string]any{"sub": "42", "exp": 60, "iat": -10, "jti": "a"})
	other := bearerOf(t, map[string]any{"sub": "43", "exp": 60, "iat": -10, "jti": "b"})
	var hit, spared []*listener
	for _, n := range nodes {
		hit = append(hit, n.listen("/events?access_token="+old, ""))
		spared = append(spared, n.listen("/events?access_token="+other, ""))
	}
	for _, l := range append(hit, spared...) {
		l.want("tidemark.open")
	}
	if err := nodes[0].nc.Publish("tidemark.revoke", []byte(`not json`)); err != nil { // it has no effect
		t.Fatal(err)
	}
	start := time.Now()
	if err := nodes[0].nc.Publish(revocation.Subject, []byte(`{"user":"42"}`)); err != nil {
		t.Fatal(err)
	}
	for _, l := range hit {
		if ev := l.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "revoked" {
			t.Errorf("got %s %s", ev.Type, ev.Data)
		}
	}
	t.Logf("both ended %v after the revocation", time.Since(start))
	time.Sleep(1100 * time.Millisecond) // iat counts whole seconds
	for _, n := range nodes {
		if status := n.status("/events?access_token=" + old); status != http.StatusUnauthorized {
			t.Errorf("the revoked token: %d", status)
		}
		young := bearerOf(t, map[string]any{"sub": "42", "exp": 60, "iat": 0})
		n.listen("/events?access_token="+young, "").want("tidemark.open")
	}
	nodes[0].publish("notifications.broadcast", 1, 1)
	for _, l := range spared {
		l.wantNumbers(1, 1)
	}
}

// TestPublish_Claim_DecidesTheSubjects checks that a token for reading does not permit publishing.
func TestPublish_Claim_DecidesTheSubjects(t *testing.T) {
	r := newHarness(t, byToken(t))
	body := `{"subject":"notifications.user.42","data":"hi"}`
	for name, c := range map[string]struct {
		header string
		body   string
		status int
	}{
		"no identity":   {"", body, http.StatusUnauthorized},
		"a reader":      {"Bearer " + bearerOf(t, map[string]any{"sub": "1", "exp": 60}), body, http.StatusForbidden},
		"a publisher":   {"Bearer " + bearerOf(t, map[string]any{"sub": "1", "exp": 60, "publish": []string{"notifications.user.*"}}), body, http.StatusOK},
		"of elsewhere":  {"Bearer " + bearerOf(t, map[string]any{"sub": "1", "exp": 60, "publish": []string{"notifications.city.*"}}), body, http.StatusForbidden},
		"one of a few":  {"Bearer " + bearerOf(t, map[string]any{"sub": "1", "exp": 60, "publish": []string{"notifications.user.*"}}), `[` + body + `,{"subject":"notifications.broadcast","data":"hi"}]`, http.StatusForbidden},
		"a bad request": {"", `{`, http.StatusUnauthorized}, // the identity is checked first
	} {
		header := []string{}
		if c.header != "" {
			header = []string{"Authorization", c.header}
		}
		if status, answer := r.post("/publish", c.body, header...); status != c.status {
			t.Errorf("%s: %d %v", name, status, answer)
		}
	}
	if status, _ := r.post("/api/events/send-message", `{"broadcast":true,"message":"hi"}`); status != http.StatusUnauthorized {
		t.Errorf("send-message: %d", status)
	}
	info, err := r.stream().Info(t.Context())
	if err != nil || info.State.LastSeq != 1 {
		t.Errorf("%d events are stored, want that of the publisher alone: %v", info.State.LastSeq, err)
	}
}

// TestPublish_LocalOnly_AcceptsLoopbackAlone checks also that a page whose name was rebound to this machine cannot
// publish.
func TestPublish_LocalOnly_AcceptsLoopbackAlone(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.Publish.LocalOnly = true; o.HTTP.Hosts = []string{"rebound.evil.example"} })
	for name, c := range map[string]struct {
		host, header string
		status       int
	}{
		"by address": {"", "", http.StatusOK}, "by name": {"localhost:1234", "", http.StatusOK},
		"rebound": {"rebound.evil.example", "", http.StatusForbidden}, "behind a proxy": {"", "X-Forwarded-For", http.StatusForbidden},
	} {
		req, _ := http.NewRequest(http.MethodPost, r.base+"/publish", strings.NewReader(`{"subject":"notifications.broadcast","data":"hi"}`))
		req.Host = c.host
		if c.header != "" {
			req.Header.Set(c.header, "192.0.2.1")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}

// TestIdentityHeaders_Forged_AreCounted checks that headers of other senders than trusted proxies are ignored, and
// counted.
func TestIdentityHeaders_Forged_AreCounted(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		o.Auth = server.AuthOptions{
			Identity: []string{"header", "anonymous"},
			Header:   auth.HeaderOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		}
	})
	req, _ := http.NewRequest(http.MethodHead, r.base+"/events", nil)
	req.Header.Set("X-User", "42")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp, err = http.Get(r.base + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var h health.Report
	if err := json.NewDecoder(resp.Body).Decode(&h); err != nil || h.Refused["headers_ignored"] != 1 {
		t.Errorf("%+v, %v", h, err)
	}
}
