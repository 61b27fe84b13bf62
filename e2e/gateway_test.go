package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/sse"
)

// TestGateways runs nginx, Caddy and HAProxy with their files from config/, each in front of two nodes and of a
// login service, with honest and forged requests.
func TestGateways(t *testing.T) {
	t.Parallel()
	g := startGateways(t)
	for _, name := range []string{"nginx", "Caddy", "HAProxy"} {
		if g.urls[name] != "" {
			continue
		}
		missing := fmt.Sprintf("%s is not installed (apt-get install %s): its file in config/ is not tried", name, strings.ToLower(name))
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Run("without "+name, func(t *testing.T) { t.Skip(missing) })
	}
	for name, url := range g.urls {
		c := &gatewayClient{gateways: g, url: url, name: name}
		t.Run(name, func(t *testing.T) {
			t.Run("forged headers", c.testForgedHeaders)
			t.Run("events of a user", c.testEvents)
			t.Run("session ends", c.testSessionEnds)
			t.Run("without a session", c.testWithoutSession)
			t.Run("probes and publishers", c.testOpenPaths)
		})
	}
	g.Nodes[0].Kill()
	for name, url := range g.urls {
		c := &gatewayClient{gateways: g, url: url, name: name}
		t.Run(name+" with one node of two", c.testServed)
	}
	g.Nodes[1].Kill()
	for name, url := range g.urls {
		c := &gatewayClient{gateways: g, url: url, name: name}
		t.Run(name+" without a node", c.testRetried)
	}
	for _, n := range g.Nodes {
		restart(t, n.Process)
		eventually(t, n.Name()+" is ready", func() bool { return status(n.URL+"/readyz") == http.StatusOK })
	}
	for name, url := range g.urls {
		c := &gatewayClient{gateways: g, url: url, name: name}
		eventually(t, name+" has nodes again", func() bool { return status(url+"/readyz") == http.StatusOK })
		t.Run(name+" with all nodes back", c.testServed)
	}
	g.login.stop()
	for name, url := range g.urls {
		c := &gatewayClient{gateways: g, url: url, name: name}
		t.Run(name+" without its login service", c.testRetried)
	}
}

// gatewayClient connects through one proxy.
type gatewayClient struct {
	*gateways
	name, url string
}

// connection is an open connection.
type connection struct {
	t    *testing.T
	body io.Closer
	dec  *sse.Decoder
}

// get sends a request. The names of its headers are not canonicalised.
func (c *gatewayClient) get(t *testing.T, path string, header http.Header) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// open connects, and returns the connection and its subjects.
func (c *gatewayClient) open(t *testing.T, header http.Header) (*connection, []string) {
	t.Helper()
	resp := c.get(t, "/events", header)
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%v: %s %s", header, resp.Status, body)
	}
	return opened(t, resp)
}

// opened reads the beginning of a response.
func opened(t *testing.T, resp *http.Response) (*connection, []string) {
	t.Helper()
	conn := &connection{t: t, body: resp.Body, dec: sse.NewDecoder(resp.Body)}
	ev := conn.next("tidemark.open")
	var open struct{ Subjects []string }
	if err := json.Unmarshal(ev.Data, &open); err != nil {
		t.Fatalf("%s: %v", ev.Data, err)
	}
	return conn, open.Subjects
}

// next returns the next event, which must have a type.
func (c *connection) next(kind string) sse.Event {
	c.t.Helper()
	for {
		ev, err := c.dec.Next()
		if err != nil {
			c.t.Fatalf("no event of type %q: %v", kind, err)
		}
		if ev.Type == kind {
			return ev.Clone()
		}
		if !strings.HasPrefix(ev.Type, "tidemark.position") {
			c.t.Fatalf("got %s %s, want an event %q", ev.Type, ev.Data, kind)
		}
	}
}

// subjectsOf returns the subjects of a connection of a user.
func subjectsOf(t *testing.T, user string) []string {
	t.Helper()
	token, err := subject.Encode(user)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"notifications.broadcast", "notifications.user." + token}
}

// forgedHeaders are headers with an identity or an address, in the spellings that proxies pass on.
var forgedHeaders = []string{
	"X-User", "x-user", "X-USER", "X_User", "X_USER", "x_user", "X-User-Id", "X_User_Id", "X-User-Name", "X-User-Email", "X-Username", "X-Email", "X_Email",
	"X-User-Expires", "x-user-expires", "X_User_Expires", "X-Auth-User", "X-Auth-Request-User", "X_Auth_Request_User", "X-Auth-Request-Email", "X-Auth-Request-Groups",
	"X-Auth-Request-Preferred-Username", "X-Auth-Request-Access-Token", "X-Authenticated-User", "X-Forwarded-User", "X_Forwarded_User", "X-Forwarded-Email", "X-Forwarded-Groups",
	"X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Remote-User", "X-WEBAUTH-USER", "Remote-User", "Remote_User", "REMOTE_USER", "Remote-Email", "Remote-Name", "Remote-Groups",
	"Forwarded", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Original-Url", "X-Rewrite-Url", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP",
}

// forged is a value that can be found wherever it arrives. It is also a time in the future.
const forged = "2099-09-09T09:09:09Z"

// testForgedHeaders: no header of the client names the user, and none reaches the login service.
func (c *gatewayClient) testForgedHeaders(t *testing.T) {
	mine, nobody := c.login.logIn("bob", time.Hour), c.login.logIn("", time.Hour)
	c.login.received()
	for _, name := range append(slices.Clone(forgedHeaders), "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-Uri") {
		if resp := c.get(t, "/events", http.Header{name: {forged}}); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a session: %s", name, resp.Status)
		}
		// The service accepts the session and names no user: the header of the client must not replace it.
		if resp := c.get(t, "/events", http.Header{name: {forged}, "Cookie": {nobody}}); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with a session of no user: %s", name, resp.Status)
		}
		conn, subjects := c.open(t, http.Header{name: {forged, forged}, "Cookie": {mine}})
		if !slices.Equal(subjects, subjectsOf(t, "bob")) {
			t.Errorf("%s with a session: the connection has %q", name, subjects)
		}
		_ = conn.body.Close()
	}
	for _, user := range []string{"X-User", "x-user", "X_User"} { // with an end of the session, as nodes require it
		header := http.Header{"Cookie": {nobody}, user: {forged}, strings.ReplaceAll(user+"-Expires", "_", "-"): {forged}}
		if resp := c.get(t, "/events", header); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v: %s", header, resp.Status)
		}
	}
	for _, header := range c.login.received() {
		for name, values := range header {
			if slices.Contains(values, forged) {
				t.Errorf("the login service received %s of a client", name)
			}
		}
	}
	c.testTakenAway(t, mine)
}

// testTakenAway: a client cannot make the proxy drop the headers that the proxy sets, which would be a grant
// without an end. The connection is that of the user, or rejected.
func (c *gatewayClient) testTakenAway(t *testing.T, cookie string) {
	for _, names := range []string{"X-User", "X-User-Expires", "close, X-User, X-User-Expires", "keep-alive, x-user-expires"} {
		resp := c.get(t, "/events", http.Header{"Connection": {names}, "Cookie": {cookie}})
		if resp.StatusCode == http.StatusUnauthorized {
			t.Logf("Connection: %s: %s", names, resp.Status)
			continue
		}
		text := firstEvent(resp.Body)
		if resp.StatusCode != http.StatusOK || !strings.Contains(text, `"notifications.user.bob"`) {
			t.Errorf("Connection: %s: %s %s", names, resp.Status, text)
		}
	}
}

// publish stores an event through the proxy.
func (c *gatewayClient) publish(t *testing.T, user, data string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/publish", strings.NewReader(fmt.Sprintf(`{"user":%q,"data":%q}`, user, data)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", c.key)
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("publish: %s %s", resp.Status, body)
	}
}

// testEvents: events arrive while the response is open, belong to the user, and are replayed after a reconnect.
func (c *gatewayClient) testEvents(t *testing.T) {
	for _, user := range []string{"alice.b@example.com", "CN=Alice B, OU=People " + c.name, "100% " + c.name} {
		cookie := c.login.logIn(user, time.Hour)
		conn, subjects := c.open(t, http.Header{"Cookie": {cookie}})
		if !slices.Equal(subjects, subjectsOf(t, user)) {
			t.Errorf("%s: the connection has %q", user, subjects)
		}
		last := ""
		for i := range 5 { // each is received before the next one is published
			want := fmt.Sprint(c.name, " ", i)
			c.publish(t, "carol", "not for "+user)
			c.publish(t, user, want)
			ev := conn.next("")
			if string(ev.Data) != want {
				t.Errorf("%s: got %q, want %q", user, ev.Data, want)
			}
			last = string(ev.ID)
		}
		_ = conn.body.Close()
		c.publish(t, user, "missed")
		conn, _ = c.open(t, http.Header{"Cookie": {cookie}, "Last-Event-Id": {last}})
		if ev := conn.next(""); string(ev.Data) != "missed" {
			t.Errorf("%s: resumed with %q", user, ev.Data)
		}
		_ = conn.body.Close()
	}
}

// testSessionEnds: the connection ends with its session, whatever end the client sends, and the login service
// decides about the next one.
func (c *gatewayClient) testSessionEnds(t *testing.T) {
	conn, cookie, end := c.openBriefly(t)
	ev := conn.next("tidemark.close")
	if !strings.Contains(string(ev.Data), `"token-expired"`) {
		t.Errorf("closed with %s", ev.Data)
	}
	if time.Now().Before(end) {
		t.Error("closed before the end of the session")
	}
	if resp := c.get(t, "/events", http.Header{"Cookie": {cookie}, "Last-Event-Id": {string(ev.ID)}}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the end: %s", resp.Status)
	}
	conn, subjects := c.open(t, http.Header{"Cookie": {c.login.logIn("dave", time.Hour)}})
	if !slices.Equal(subjects, subjectsOf(t, "dave")) {
		t.Errorf("after another login the connection has %q", subjects)
	}
	_ = conn.body.Close()
}

// openBriefly opens a connection whose session ends after 3 s, or later if the machine is too slow to open it by
// then.
func (c *gatewayClient) openBriefly(t *testing.T) (conn *connection, cookie string, end time.Time) {
	t.Helper()
	for lasts := 3 * time.Second; lasts < time.Minute; lasts *= 2 {
		cookie = c.login.logIn("dave", lasts)
		header := http.Header{"Cookie": {cookie}, "X-User-Expires": {forged}, "X_User_Expires": {forged}}
		if resp := c.get(t, "/events", header); resp.StatusCode == http.StatusOK {
			conn, _ = opened(t, resp)
			return conn, cookie, c.login.ends(cookie)
		}
	}
	t.Fatal("no connection could be opened before its session ended")
	return nil, "", end
}

// testWithoutSession: the client receives the response of the login service.
func (c *gatewayClient) testWithoutSession(t *testing.T) {
	for _, path := range []string{"/events", "/sse-notifications", "/api/events/subscribe", "/identity"} {
		for _, cookie := range []string{"", "session=unknown"} {
			resp := c.get(t, path, http.Header{"Cookie": {cookie}})
			if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != `Session realm="login"` {
				t.Errorf("%s with %q: %s, WWW-Authenticate %q", path, cookie, resp.Status, resp.Header.Get("WWW-Authenticate"))
			}
		}
	}
}

// testOpenPaths: these paths need no session; publishing needs a key.
func (c *gatewayClient) testOpenPaths(t *testing.T) {
	c.login.received()
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusOK, "/publish": http.StatusMethodNotAllowed} {
		if resp := c.get(t, path, nil); resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for _, path := range []string{"/publish", "/publish/notifications.broadcast", "/api/events/send-message"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+path, strings.NewReader(`{"subject":"notifications.broadcast","data":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-User", "alice")
		resp, err := direct.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("POST %s without a key: %s", path, resp.Status)
		}
	}
	if asked := len(c.login.received()); asked > 0 {
		t.Errorf("the login service received %d requests", asked)
	}
}

// testServed: every connect succeeds, also while a node is down.
func (c *gatewayClient) testServed(t *testing.T) {
	cookie := c.login.logIn("frank", time.Hour)
	for range 20 {
		conn, _ := c.open(t, http.Header{"Cookie": {cookie}})
		defer conn.body.Close()
	}
	c.publish(t, "frank", "by some node")
}

// testRetried: the response is a stream that ends, so that an EventSource reconnects.
func (c *gatewayClient) testRetried(t *testing.T) {
	cookie := c.login.logIn("erin", time.Hour)
	eventually(t, "a stream that ends with a retry", func() bool {
		resp := c.get(t, "/events", http.Header{"Cookie": {cookie}})
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			t.Fatalf("%s %v: %s, %v", resp.Status, resp.Header, body, err)
		}
		return strings.HasPrefix(string(body), "retry: 1000\n") && strings.HasSuffix(string(body), "\n\n")
	})
	// A poll gets a status.
	resp := c.get(t, "/events", http.Header{"Cookie": {cookie}, "Accept": {"application/json"}})
	defer resp.Body.Close()
	if resp.StatusCode < 500 {
		t.Errorf("a poll: %s", resp.Status)
	}
}
