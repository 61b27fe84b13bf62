package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// TestFront sends honest and forged requests to nginx, also while nodes are down.
func TestFront(t *testing.T) {
	t.Parallel()
	topo := startTopology(t, testcluster.Options{NATS: 2, Nodes: 2, Nginx: true})
	t.Run("who is calling", func(t *testing.T) { testFrontIdentity(t, topo) })
	t.Run("user of the query", func(t *testing.T) { testFrontQuery(t, topo) })

	topo.Nodes[0].Kill()
	for range 20 { // nginx sends some of them to the killed node first
		if got := begin(t, topo.Nginx.URL+"/events?user=42", nil); got.status != http.StatusOK || !strings.Contains(got.text, "tidemark.open") {
			t.Fatalf("with one node of two: %+v", got)
		}
	}

	topo.Nodes[1].Kill()
	for _, url := range []string{topo.Nginx.URL, topo.Nginx.TLSURL} {
		got := begin(t, url+"/events?user=42", nil)
		if got.status != http.StatusOK || got.contentType != "text/event-stream" || !strings.HasPrefix(got.text, "retry: ") {
			t.Errorf("without a node an EventSource must come back, and gets %+v", got)
		}
		if got := begin(t, url+"/readyz", nil); got.status != http.StatusBadGateway {
			t.Errorf("without a node: %+v", got)
		}
	}

	for _, n := range topo.Nodes {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range topo.Nodes { // not through nginx, which would notice them
		eventually(t, n.Name()+" is ready", func() bool { return status(n.URL+"/readyz") == http.StatusOK })
	}
	// These connections stay open: nginx must accept the next one although none has ended.
	for i := range 10 {
		resp, err := direct.Get(topo.Nginx.URL + "/events?user=42")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := firstEvent(resp.Body); !strings.Contains(got, "tidemark.open") {
			t.Errorf("with all nodes back, client %d gets %q", i, got)
		}
	}
}

// testFrontIdentity: the user is the one that nginx names, whatever the client sends. A page of another host name
// has none.
func testFrontIdentity(t *testing.T, topo *testcluster.Topology) {
	const mine, theirs = "notifications.user.42", "notifications.user.43"
	for name, c := range map[string]struct {
		url    string
		header http.Header
		status int
		want   string
	}{
		"by HTTP":                    {topo.Nginx.URL + "/events?user=42", nil, 200, mine},
		"by HTTPS":                   {topo.Nginx.TLSURL + "/events?user=42", nil, 200, mine},
		"at localhost":               {topo.Nginx.URL + "/events?user=42", http.Header{"Host": {"localhost"}}, 200, mine},
		"nobody":                     {topo.Nginx.URL + "/events", nil, 200, ""},
		"a forged user":              {topo.Nginx.URL + "/events", http.Header{"X-User": {"43"}}, 200, ""},
		"a forged user beside one":   {topo.Nginx.URL + "/events?user=42", http.Header{"X-User": {"43"}}, 200, mine},
		"a name that was rebound":    {topo.Nginx.URL + "/events?user=43", http.Header{"Host": {"attacker.example"}}, 421, ""},
		"publishing through a proxy": {topo.Nginx.URL + "/publish", http.Header{"Method": {"POST"}}, 403, ""},
	} {
		got := begin(t, c.url, c.header)
		if got.status != c.status || strings.Contains(got.text, theirs) || strings.Contains(got.text, mine) != (c.want == mine) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// testFrontQuery: try-user.conf accepts an id as it is typed and as encodeURIComponent encodes it.
func testFrontQuery(t *testing.T, topo *testcluster.Topology) {
	for query, id := range map[string]string{
		"alice.b@example.com": "alice.b@example.com", "alice.b%40example.com": "alice.b@example.com", "alice%2Eb%40example%2ecom": "alice.b@example.com",
		"alice+news@example.com": "alice+news@example.com", "CN%3DAlice%20B%2C%20OU%3DPeople": "CN=Alice B, OU=People", "%D0%97%D0%BE%D1%8F": "Зоя",
		"100%25": "100%", "a%26b%3Dc": "a&b=c", "alice%2540example.com": "alice%40example.com",
	} {
		got := begin(t, topo.Nginx.URL+"/events?user="+query, nil)
		var opened struct{ Subjects []string }
		_, data, _ := strings.Cut(got.text, "data: ")
		if err := json.Unmarshal([]byte(strings.SplitN(data, "\n", 2)[0]), &opened); err != nil || !slices.Equal(opened.Subjects, subjectsOf(t, id)) {
			t.Errorf("?user=%s: %+v, %v, want %q", query, got, err, subjectsOf(t, id))
		}
	}
	for _, query := range []string{"100%", "%zz", "%ff"} {
		if got := begin(t, topo.Nginx.URL+"/events?user="+query, nil); got.status != http.StatusBadRequest {
			t.Errorf("?user=%s: %+v", query, got)
		}
	}
}

type beginning struct {
	status      int
	contentType string
	text        string
}

// begin reads a response up to its first event, or its end. Host and Method in header stand for those of the
// request.
func begin(t *testing.T, url string, header http.Header) beginning {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	if method := header.Get("Method"); method != "" {
		req.Method, req.Body = method, io.NopCloser(strings.NewReader(`{"subject":"notifications.broadcast","data":"x"}`))
	}
	req.Host = header.Get("Host")
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return beginning{status: resp.StatusCode, contentType: resp.Header.Get("Content-Type"), text: firstEvent(resp.Body)}
}

// firstEvent reads up to the first id, or the end.
func firstEvent(body io.Reader) (text string) {
	for lines := bufio.NewScanner(body); lines.Scan(); {
		text += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "id: ") {
			break
		}
	}
	return text
}
