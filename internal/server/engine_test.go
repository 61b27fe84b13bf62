package server_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/sse"
)

// engineOff is the name of a subtest whose nodes serve with net/http alone.
const engineOff = "engine=off"

// eachEngine runs a test with http.engine auto, and with off. It decides about all nodes of the test: [options] reads the
// name of the subtest.
func eachEngine(t *testing.T, test func(t *testing.T)) {
	t.Run("engine=auto", test)
	t.Run(engineOff, test)
}

// withoutEngine reports whether a test runs with http.engine off.
func withoutEngine(t testing.TB) bool { return strings.Contains(t.Name(), "/"+engineOff) }

func TestEngine_Off_EveryProtocolServesConnections(t *testing.T) {
	t.Run(engineOff, func(t *testing.T) {
		for name, c := range map[string]struct {
			secure bool
			major  int
			set    func(*http.Protocols)
		}{
			"HTTP/1.1":          {false, 1, func(p *http.Protocols) { p.SetHTTP1(true) }},
			"HTTP/2":            {false, 2, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
			"HTTP/1.1 over TLS": {true, 1, func(p *http.Protocols) { p.SetHTTP1(true) }},
			"HTTP/2 over TLS":   {true, 2, func(p *http.Protocols) { p.SetHTTP2(true) }},
		} {
			t.Run(name, func(t *testing.T) {
				url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
				opts := options(t, url)
				opts.HTTP.TLS.SelfSigned = c.secure
				r := startNode(t, opts)
				r.connect(url)
				if c.secure {
					r.base = "https" + strings.TrimPrefix(r.base, "http")
				}
				transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}
				defer transport.CloseIdleConnections()
				c.set(transport.Protocols)
				resp, err := (&http.Client{Transport: transport}).Get(r.base + me)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.ProtoMajor != c.major || resp.StatusCode != http.StatusOK || (resp.TLS != nil) != c.secure {
					t.Fatalf("%s %s", resp.Proto, resp.Status)
				}
				dec := sse.NewDecoder(resp.Body)
				if ev, err := dec.Next(); err != nil || ev.Type != "tidemark.open" {
					t.Fatal(ev, err)
				}
				r.publish("notifications.user.42", 1, 3)
				for n := 1; n <= 3; n++ {
					if ev, err := dec.Next(); err != nil || number(ev.Data) != n {
						t.Errorf("received %s, %v, want %d", ev.Data, err, n)
					}
				}
			})
		}
	})
}

// The status of a node names its engine, so that operators can compare nodes.
func TestStatus_Engine_IsReported(t *testing.T) {
	eachEngine(t, func(t *testing.T) {
		r := newHarness(t, withAdmin)
		want := "auto"
		if withoutEngine(t) {
			want = "off"
		}
		_, text := r.request(http.MethodGet, r.admin("/admin/status"), "")
		if got := field(text, "engine"); got != want {
			t.Errorf("the status has engine %q, want %q", got, want)
		}
		if r.srv.HasEngine() == withoutEngine(t) {
			t.Errorf("engine %s: an engine runs: %t", want, r.srv.HasEngine())
		}
	})
}
