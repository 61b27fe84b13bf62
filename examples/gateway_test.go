package examples_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testcluster"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/sse"
)

// startNginx runs nginx with the file of gateway-auth in front of the program, and returns it at the address of nginx.
func (p program) startNginx(t *testing.T) program {
	t.Helper()
	nginx, err := testcluster.LookNginx()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("gateway-auth/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	config := string(raw)
	for before, after := range map[string]string{"listen 127.0.0.1:8091;": "listen " + addr + ";", "http://127.0.0.1:8090": p.url} {
		if !strings.Contains(config, before) {
			t.Fatalf("nginx.conf does not have %q", before)
		}
		config = strings.ReplaceAll(config, before, after)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nginx, "-p", dir, "-c", file)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	killAll := testcluster.BindGroup(cmd) // nginx has workers
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		killAll()
		close(ended)
	}()
	t.Cleanup(func() {
		killAll()
		<-ended
	})
	testkit.Eventually(t, waitTimeout, "nginx accepts connections", func() bool {
		select {
		case <-ended:
			t.Fatalf("nginx has ended:\n%s", &stderr)
		default:
		}
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	p.url = "http://" + addr
	return p
}

// logIn returns the cookie of a new session.
func (p program) logIn(t *testing.T, user string) (cookie string) {
	t.Helper()
	resp := p.do(t, http.MethodPost, "/login", url.Values{"user": {user}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		t.Fatalf("POST /login: %s, %v", resp.Status, resp.Cookies())
	}
	return "session=" + resp.Cookies()[0].Value
}

// do sends a request, and does not follow redirects; header is name, value.
func (p program) do(t *testing.T, method, path, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	client := http.Client{Timeout: waitTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestGatewayAuth_BehindNginx_DeliversToTheUserOfTheSession(t *testing.T) {
	p := start(t, "gateway-auth").startNginx(t)
	if text := p.get(t, "/"); !strings.Contains(text, "new EventSource('events") {
		t.Errorf("the page is %.300s", text)
	}
	for name, c := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"no session":      {"/events", nil, http.StatusUnauthorized},
		"unknown session": {"/events", []string{"Cookie", "session=unknown"}, http.StatusUnauthorized},
		"a forged user":   {"/events", []string{"X-User", "alice", "X-User-Expires", "4102444800"}, http.StatusUnauthorized},
		"the login check": {"/check", nil, http.StatusNotFound},
	} {
		if resp := p.do(t, http.MethodGet, c.path, "", c.header...); resp.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", name, resp.Status, c.want)
		}
	}
	if resp := p.do(t, http.MethodPost, "/publish", `{"user":"alice","data":"x"}`); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("publishing without a session: %s", resp.Status)
	}

	alice, bob := p.logIn(t, "alice"), p.logIn(t, "bob")
	say := func(user, text string) {
		t.Helper()
		if resp := p.do(t, http.MethodPost, "/publish", `{"user":"`+user+`","data":"`+text+`"}`, "Cookie", bob); resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(resp.Body)
			t.Fatalf("publish: %s %s", resp.Status, body)
		}
	}
	live := p.follow(t, "", "Cookie", alice, "X-User", "bob") // the header of a client does not count
	expectOpen(t, live)
	say("bob", "not for alice")
	say("alice", "one")
	one := next(t, live).Clone()
	if string(one.Data) != "one" {
		t.Errorf("received %s", one.Data)
	}
	say("alice", "two")
	if ev := next(t, p.follow(t, "", "Cookie", alice, "Last-Event-ID", string(one.ID))); string(ev.Data) != "two" {
		t.Errorf("resumed with %s", ev.Data)
	}
	if ev := next(t, live); string(ev.Data) != "two" {
		t.Errorf("received %s", ev.Data)
	}

	if resp := p.do(t, http.MethodPost, "/logout", "", "Cookie", alice); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("POST /logout: %s", resp.Status)
	}
	if ev := next(t, live); ev.Type != "tidemark.close" || !strings.Contains(string(ev.Data), `"revoked"`) {
		t.Errorf("after the logout: %s %s", ev.Type, ev.Data)
	}
	if resp := p.do(t, http.MethodGet, "/events", "", "Cookie", alice); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: %s", resp.Status)
	}
	other := p.follow(t, "", "Cookie", bob)
	expectOpen(t, other)
}

func expectOpen(t *testing.T, d *sse.Decoder) {
	t.Helper()
	if ev, err := d.Next(); err != nil || ev.Type != "tidemark.open" {
		t.Fatalf("%s %s, %v", ev.Type, ev.Data, err)
	}
}

func TestGatewayAuth_RequestOfAnotherOrigin_IsRejected(t *testing.T) {
	p := start(t, "gateway-auth")
	for _, path := range []string{"/login", "/logout", "/publish"} {
		resp := p.do(t, http.MethodPost, path, "", "Cookie", p.logIn(t, "alice"), "Origin", "https://other.example", "Sec-Fetch-Site", "cross-site")
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("POST %s: %s", path, resp.Status)
		}
	}
}

// Sessions last an hour, so that the test sends the same headers as nginx.
func TestGatewayAuth_SessionHasEnded_ConnectionIsRejected(t *testing.T) {
	p := start(t, "gateway-auth")
	ended := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	for _, header := range [][]string{{"X-User", "alice", "X-User-Expires", ended}, {"X-User", "alice"}} {
		if resp := p.do(t, http.MethodGet, "/events", "", header...); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %s", header, resp.Status)
		}
	}
}
