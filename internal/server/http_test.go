package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/sse"
)

func TestPublish_OverHTTP_IsStoredAndReceived(t *testing.T) {
	eachEngine(t, testPublishOverHTTPIsStoredAndReceived)
}

func testPublishOverHTTPIsStoredAndReceived(t *testing.T) {
	r := newHarness(t, nil)
	l := r.listen(me, "")
	l.want("tidemark.open")
	status, ack := r.post("/publish", `{"subject":"notifications.user.42","event":"greeting","data":{"text": "hi"},"id":"a1"}`)
	if status != http.StatusOK || ack["stream"] != "NOTIFICATIONS" || ack["seq"] != 1.0 || ack["duplicate"] != nil {
		t.Errorf("publish: %d %v", status, ack)
	}
	status, again := r.post("/publish", `{"subject":"notifications.user.42","data":"other"}`, "Idempotency-Key", "a1")
	if status != http.StatusOK || again["duplicate"] != true || again["position"] != ack["position"] {
		t.Errorf("duplicate: %d %v", status, again)
	}
	if status, _ := r.post("/publish", `[{"subject":"notifications.broadcast","data":"one"},{"subject":"notifications.user.42","data":[1, 2]}]`); status != http.StatusOK {
		t.Errorf("batch: %d", status)
	}
	for _, body := range []string{
		`{"userId":"42","eventType":"order","message":"shipped","data":{"n":1}}`,
		`{"broadcast":true,"eventType":"news","message":"all"}`, `{"userId":43,"message":"not for 42"}`,
	} {
		if status, answer := r.post("/api/events/send-message", body); status != http.StatusOK {
			t.Errorf("%s: %d %v", body, status, answer)
		}
	}
	ev := l.next()
	if string(ev.Data) != `{"text":"hi"}` || ev.Type != "greeting" || string(ev.ID) != ack["position"] {
		t.Errorf("received %s %q at %s, acknowledged at %v", ev.Type, ev.Data, ev.ID, ack["position"])
	}
	l.want("one", "[1,2]", `order {"message":"shipped","data":{"n":1}}`, `news {"message":"all"}`)
}

func TestPublish_Refused_StoresNothing(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.Publish.MaxBytes = 2000 })
	for body, want := range map[string]int{
		`{"subject":"other.subject","data":"x"}`:                          422,
		`{"subject":"notifications.user.a.b","data":"x"}`:                 422,
		`{"subject":"$JS.API.STREAM.DELETE.NOTIFICATIONS","data":""}`:     400,
		`{"subject":"notifications.*","data":"x"}`:                        400,
		`{"subject":"notifications.a","event":"tidemark.gap","data":"x"}`: 400,
		`{"subject":"notifications.a","event":"a\nb","data":"x"}`:         400,
		`{"subject":"notifications.a","data":"x","id":"a\r\nb"}`:          400,
		`{"subject":"notifications.a","dta":"x"}`:                         400,
		`{"subject":`: 400, ``: 400, `[]`: 400, `42`: 400,
		`[{"subject":"notifications.broadcast"},{"subject":"bad subject"}]`:        400,
		`[{"subject":"notifications.broadcast"},{"subject":"notifications.a"}]`:    422,
		`{"subject":"notifications.a","data":"` + strings.Repeat("x", 2000) + `"}`: 413,
	} {
		if status, answer := r.post("/publish", body); status != want || answer["detail"] == "" || answer["status"] != float64(want) {
			t.Errorf("%.80s: %d %v", body, status, answer)
		}
	}
	if status, _ := r.post("/api/events/send-message", `{"userId":4.2,"message":"x"}`); status != 400 {
		t.Errorf("a user id that is a fraction: %d", status)
	}
	if status, _ := r.post("/publish", `{"subject":"notifications.a","data":"x"}`, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); status != 403 {
		t.Errorf("a post from another origin: %d", status)
	}
	info, err := r.stream().Info(t.Context())
	if err != nil || info.State.LastSeq != 0 {
		t.Errorf("stored up to %d (%v)", info.State.LastSeq, err)
	}
}

func TestRoutes_Requested_AnswerTheirStatus(t *testing.T) {
	eachEngine(t, testRoutesRequestedAnswerTheirStatus)
}

func testRoutesRequestedAnswerTheirStatus(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.HTTP.CORSOrigins = []string{"https://app.example.com"} })
	for path, want := range map[string]int{
		"/": 200, "/healthz": 200, "/readyz": 200, "/nothing": 404, "/publish": 405,
		"/events?subject=other.x": 403, "/events?subject=notifications.*.x": 403, "/events?subject=a..b": 400,
		"/events?from=yesterday": 400, "/events?only=1": 400, "/events?user=a%ff": 400, "/events?since=5": 400, "/events?lasteventid=5": 400,
	} {
		if got := r.status(path); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	for _, path := range []string{"/events", "/sse-notifications", "/api/events/subscribe"} {
		r.listen(path+"?subject=notifications.city.paris&subject=notifications.topic.a.>", "").want("tidemark.open")
	}
	req, _ := http.NewRequest(http.MethodOptions, r.base+"/events", nil)
	req.Header.Set("Origin", "https://app.example.com")
	req.Header.Set("Access-Control-Request-Method", "GET")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("preflight: %s %v", resp.Status, resp.Header)
	}
	for _, name := range []string{"Last-Event-ID", "traceparent", "tracestate"} {
		if allowed := resp.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(allowed, name) {
			t.Errorf("%s is not among %q", name, allowed)
		}
	}
}

func TestConsole_Off_Answers404(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.Console = false })
	for _, path := range []string{"/", "/console/console.js", "/console/settings.json"} {
		if got := r.status(path); got != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, got)
		}
	}
}

func TestConnections_OfOneUser_AllReceiveEvents(t *testing.T) {
	eachEngine(t, testConnectionsOfOneUserAllReceiveEvents)
}

func testConnectionsOfOneUserAllReceiveEvents(t *testing.T) {
	r := newHarness(t, nil)
	var all []*listener
	for range 5 {
		l := r.listen(me, "")
		l.want("tidemark.open")
		all = append(all, l)
	}
	r.publish("notifications.user.42", 1, 20)
	for _, l := range all {
		l.wantNumbers(1, 20)
	}
}

// TestStop_OpenConnections_ReceiveClose stops a node with clients: they receive tidemark.close, and the response
// ends without its last chunk.
func TestStop_OpenConnections_ReceiveClose(t *testing.T) {
	eachEngine(t, testStopOpenConnectionsReceiveClose)
}

func testStopOpenConnectionsReceiveClose(t *testing.T) {
	r := newHarness(t, nil)
	resp, err := http.Get(r.base + me)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	go r.stop()
	dec, last := sse.NewDecoder(resp.Body), sse.Event{}
	for {
		ev, err := dec.Next()
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the response ended with %v", err)
			}
			break
		}
		last = ev.Clone()
	}
	if last.Type != "tidemark.close" || field(last.Data, "reason") != "drain" {
		t.Errorf("the last event is %s %s", last.Type, last.Data)
	}
	r.stop()
}

func TestHTTP2_OverTLSAndInTheClear_ServesConnections(t *testing.T) {
	cert, key, pool := selfSigned(t)
	for name, c := range map[string]struct {
		change    func(*server.Options)
		scheme    string
		protocols func(*http.Protocols)
	}{
		"TLS": {func(o *server.Options) { o.HTTP.TLS.CertFile, o.HTTP.TLS.KeyFile = cert, key }, "https", func(p *http.Protocols) { p.SetHTTP2(true) }},
		"h2c": {func(*server.Options) {}, "http", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
			opts := options(t, url)
			c.change(&opts)
			r := startNode(t, opts)
			r.connect(url)
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, Protocols: new(http.Protocols)}
			defer transport.CloseIdleConnections()
			c.protocols(transport.Protocols)
			client := &http.Client{Transport: transport}
			var streams []*sse.Decoder
			for i := range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/events?user=%d", c.scheme, r.srv.Addr(), i), nil)
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
					t.Fatalf("%s %s", resp.Proto, resp.Status)
				}
				dec := sse.NewDecoder(resp.Body)
				if ev, err := dec.Next(); err != nil || ev.Type != "tidemark.open" {
					t.Fatal(ev, err)
				}
				streams = append(streams, dec)
			}
			r.publish("notifications.broadcast", 1, 3)
			for i, dec := range streams {
				for n := 1; n <= 3; n++ {
					if ev, err := dec.Next(); err != nil || number(ev.Data) != n {
						t.Errorf("stream %d: %s, %v", i, ev.Data, err)
					}
				}
			}
		})
	}
}

func TestStart_WrongOptions_NamesTheKey(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	r := startNode(t, options(t, url))
	r.awaitReady() // a NATS server that is stopped while it creates a stream leaks goroutines
	for want, change := range map[string]func(*server.Options){
		"http.addr":           func(o *server.Options) { o.HTTP.Addr = r.srv.Addr().String() },
		"traces.endpoint":     func(o *server.Options) { o.Traces.Endpoint = "http://127.0.0.1:4318" },
		"http.tls":            func(o *server.Options) { o.HTTP.TLS.CertFile, o.HTTP.TLS.KeyFile = "missing.pem", "missing.pem" },
		"feeds.notifications": func(o *server.Options) { o.Feeds[0].Stream = "bad name" },
		"nats.embedded.addr": func(o *server.Options) {
			o.NATS.URL, o.Embedded.Dir, o.Embedded.Addr = "", t.TempDir(), r.srv.Addr().String()
		},
	} {
		opts := options(t, url)
		change(&opts)
		if _, err := server.New(t.Context(), opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %s", want, err)
		}
	}
}

// selfSigned writes a certificate for 127.0.0.1, as openssl would, and returns a pool that has it.
func selfSigned(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	certPEM, keyPEM := generateCertificate(t)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, data := range map[string][]byte{cert: certPEM, key: keyPEM} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return cert, key, pool
}
