package tidemark_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/tidemark"
)

// A client that disconnects at any event and resumes there counts every event once.
func TestFeed_ClientsReconnectAtAnyEvent_CountEveryEventOnce(t *testing.T) {
	const events, clients = 2000, 8
	eachWay(t, func(t *testing.T, serve func(testing.TB, *tidemark.Feed, http.Handler) string) {
		n := startNATS(t)
		f := n.open(t, newsOptions())
		mux := http.NewServeMux()
		mux.Handle("/some/path", f)
		url := serve(t, f, mux) + "/some/path"
		var parts sync.WaitGroup
		for c := range clients {
			parts.Go(func() { countEvents(t, url, uint64(c), events) })
		}
		for i := 1; i <= events; i++ {
			subject := "news.all"
			if i%3 == 0 {
				subject = "news.user.42"
			}
			publish(t, f, subject, i)
		}
		parts.Wait()
	})
}

// countEvents receives the numbers 1 to n in order, over many connections.
func countEvents(t *testing.T, url string, seed uint64, n int) {
	random := rand.New(rand.NewPCG(1, seed))
	client := newClient(t)
	connections := 0
	for have, position := 0, ""; have < n; connections++ {
		header := []string{"X-User", "42", "Last-Event-ID", position}
		query := ""
		if position == "" {
			query, header = "?from=all", header[:2]
		}
		c := connect(t, client, url+query, header...)
		for left := random.IntN(n/8) + 1; left > 0 && have < n; left-- {
			ev := c.next(t, "")
			if got := string(ev.Data); got != strconv.Itoa(have+1) {
				t.Errorf("connection %d received %s after %d", connections, got, have)
				c.close()
				return
			}
			have, position = have+1, string(ev.ID)
		}
		c.close()
	}
	if connections < 2 {
		t.Errorf("the client connected %d times; the test checks nothing", connections)
	}
}

func TestFeed_EventsWereTrimmed_SendsGapFirst(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	url := ways["engine"](t, f, nil)
	first := publish(t, f, "news.all", 1)
	for i := 2; i <= 10; i++ {
		publish(t, f, "news.all", i)
	}
	stream, err := n.js.Stream(t.Context(), "NEWS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(6)); err != nil {
		t.Fatal(err)
	}
	client := newClient(t)
	// The window may have the events for two seconds more. In that time the gap may be possible: the node has read that
	// events were deleted, and sends those that the window has.
	testkit.Eventually(t, waitTimeout, "a gap", func() bool {
		c := connect(t, client, url, "Last-Event-ID", first.Position)
		defer c.close()
		c.next(t, "tidemark.open")
		ev, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type != "tidemark.gap" {
			return false
		}
		switch reason := field(t, ev, "reason"); reason {
		case "possible":
			return false
		case "trimmed":
		default:
			t.Errorf("the reason is %q", reason)
		}
		if ev := c.next(t, ""); string(ev.Data) != "6" {
			t.Errorf("received %s after the gap", ev.Data)
		}
		return true
	})
}

func TestFeed_Identities_ReceiveTheirSubjects(t *testing.T) {
	eachWay(t, func(t *testing.T, serve func(testing.TB, *tidemark.Feed, http.Handler) string) {
		n := startNATS(t)
		f := n.open(t, newsOptions())
		url := serve(t, f, f)
		for i, subject := range []string{"news.user.7", "news.user.42", "news.topic.go", "news.all"} {
			publish(t, f, subject, i)
		}
		client := newClient(t)
		for _, c := range []struct {
			name, query string
			header      []string
			want        string
		}{
			{"user 7", "?from=all", []string{"X-User", "7"}, "0 3"},
			{"user 42", "?from=all", []string{"X-User", "42"}, "1 3"},
			{"anonymous", "?from=all", nil, "3"},
			{"another header", "?from=all", []string{"X-Login", "7"}, "3"},
			{"allowed subject", "?from=all&subject=news.topic.go", []string{"X-User", "7"}, "0 2 3"},
		} {
			t.Run(c.name, func(t *testing.T) {
				conn := connect(t, client, url+c.query, c.header...)
				var got []string
				for len(got) == 0 || got[len(got)-1] != "3" {
					got = append(got, string(conn.next(t, "").Data))
				}
				if text := strings.Join(got, " "); text != c.want {
					t.Errorf("received %s, want %s", text, c.want)
				}
			})
		}
	})
}

func TestFeed_RequestIsRefused_AnswersProblem(t *testing.T) {
	n := startNATS(t)
	opts := newsOptions()
	opts.Identify = users // anonymous clients are rejected
	f := n.open(t, opts)
	url := ways["engine"](t, f, f)
	client := newClient(t)
	for name, c := range map[string]struct {
		query  string
		header []string
		status int
	}{
		"no identity":      {"", nil, http.StatusUnauthorized},
		"foreign subject":  {"?subject=news.user.7", []string{"X-User", "42"}, http.StatusForbidden},
		"no such position": {"?from=yesterday", []string{"X-User", "42"}, http.StatusBadRequest},
		"user with a dot":  {"", []string{"X-User", "a.b"}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			if got := connect(t, client, url+c.query, c.header...).status; got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
		})
	}
}

func TestFeed_PageOfAnotherOrigin_NeedsCORS(t *testing.T) {
	n := startNATS(t)
	opts := newsOptions()
	opts.CORS.Origins = []string{"https://app.example.com"}
	f := n.open(t, opts)
	url := ways["handler"](t, f, f)
	for origin, want := range map[string]string{"https://app.example.com": "https://app.example.com", "https://evil.example": ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		resp, err := newClient(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d, allowed %q, want %q", origin, resp.StatusCode, got, want)
		}
	}
}

func TestDrain_ConnectionsAreOpen_ClosesThemAndStopsServing(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/events", f)
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "done")
	})
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- f.Serve(l, mux) }()
	url := "http://" + l.Addr().String()
	client := newClient(t)
	c := connect(t, client, url+"/events", "X-User", "42")
	c.next(t, "tidemark.open")
	slow := connect(t, client, url+"/slow") // its head is here
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		drained <- f.Drain(ctx)
	}()
	if reason := field(t, c.next(t, "tidemark.close"), "reason"); reason != "drain" {
		t.Errorf("the reason is %q", reason)
	}
	close(release)
	if text, err := io.ReadAll(slow.body); string(text) != "done" || err != nil {
		t.Errorf("another request ended with %q, %v", text, err)
	}
	if err := <-drained; err != nil {
		t.Errorf("Drain: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if f.Status().Connections != 0 {
		t.Errorf("%d connections are open", f.Status().Connections)
	}
	if err := f.Serve(listen(t), mux); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve after Drain: %v", err)
	}
	publish(t, f, "news.all", 1) // it still publishes
}

func TestClose_ConnectionsAreOpen_LeavesNoGoroutines(t *testing.T) {
	eachWay(t, func(t *testing.T, serve func(testing.TB, *tidemark.Feed, http.Handler) string) {
		n := startNATS(t)
		publishOnce(t, n)
		before := goleak.IgnoreCurrent()
		t.Run("open and close", func(t *testing.T) {
			f := n.open(t, newsOptions())
			url := serve(t, f, f)
			var all []*conn
			client := newClient(t)
			for i := range 20 {
				c := connect(t, client, url+"?from=all", "X-User", strconv.Itoa(i))
				c.next(t, "tidemark.open")
				all = append(all, c)
			}
			f.Close()
			f.Close() // again
			for _, c := range all {
				if reason := field(t, c.next(t, "tidemark.close"), "reason"); reason != "drain" {
					t.Errorf("the reason is %q", reason)
				}
			}
		})
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
}

// publishOnce starts the goroutines of nats.go for publishers, which run until the connection closes.
func publishOnce(t *testing.T, n testNATS) {
	f := n.open(t, newsOptions())
	publish(t, f, "news.all", 1)
	f.Close()
}

func TestServe_TwoFeedsInOneMux_BothAreServedAndDrained(t *testing.T) {
	n := startNATS(t)
	news := n.open(t, newsOptions())
	chat := n.open(t, tidemark.Options{Stream: "CHAT", Subjects: []string{"chat.>"}})
	mux := http.NewServeMux()
	mux.Handle("/news", news)
	mux.Handle("/chat/{room}", chat)
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- news.Serve(l, mux) }()
	url := "http://" + l.Addr().String()
	client := newClient(t)
	for round := range 3 { // from the second on the engine reads the requests
		publish(t, news, "news.all", round)
		publish(t, chat, "chat.lobby", round)
		for path, want := range map[string]string{"/news": "NEWS", "/chat/lobby": "CHAT"} {
			c := connect(t, client, fmt.Sprint(url, path, "?from=", round+1))
			if got := field(t, c.next(t, "tidemark.open"), "stream"); got != want {
				t.Errorf("%s is a feed of %s", path, got)
			}
			if got := string(c.next(t, "").Data); got != strconv.Itoa(round) {
				t.Errorf("%s: received %s in round %d", path, got, round)
			}
		}
	}
	c := connect(t, client, url+"/chat/lobby")
	c.next(t, "tidemark.open")
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := news.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	c.next(t, "tidemark.close")
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	// The other feed is not drained: it serves elsewhere.
	again := connect(t, client, ways["handler"](t, chat, chat))
	again.next(t, "tidemark.open")
}

// flushOnly is middleware whose ResponseWriter can flush and nothing else.
type flushOnly struct{ w http.ResponseWriter }

func (f flushOnly) Header() http.Header         { return f.w.Header() }
func (f flushOnly) Write(b []byte) (int, error) { return f.w.Write(b) }
func (f flushOnly) WriteHeader(status int)      { f.w.WriteHeader(status) }
func (f flushOnly) Flush()                      { f.w.(http.Flusher).Flush() }
func (f flushOnly) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(f.w).SetWriteDeadline(t)
}

func TestServe_MiddlewareHidesTheSocket_ServesEveryConnection(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	url := ways["engine"](t, f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.ServeHTTP(flushOnly{w}, r)
	}))
	client := newClient(t)
	for range 3 {
		publish(t, f, "news.all", 1)
		c := connect(t, client, url+"?from=1")
		if got := string(c.next(t, "").Data); got != "1" {
			t.Errorf("received %s", got)
		}
	}
}
