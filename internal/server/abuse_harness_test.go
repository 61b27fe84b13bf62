package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/sse"
)

// attack is one case: bytes on a connection of their own, and the expected answers. The bytes are written
// unchanged, since no client library would send most of them.
type attack struct {
	name   string
	method string   // GET when empty
	path   string   // the request's target, with its query
	header []string // names and values in turn
	body   string
	raw    string // replaces all of the above; {host} stands for the node's address
	from   string // the client's address; 127.0.0.1 when empty

	// want are the possible statuses of the first answer; 0 is a connection closed without an answer.
	want []int
	// more are the statuses of the answers after the first, on the same connection.
	more []int
	// plain means that net/http itself answers, with its own text.
	plain bool
	// as is the user of the connection; empty is the anonymous user.
	as string
	// gets are subjects that the connection receives beyond the broadcast and those of its user.
	gets []string
	// without means that the connection receives gets alone, and not the broadcast and its user's subjects.
	without bool
	// ends means that the connection receives tidemark.close at once.
	ends   bool
	stored uint64 // events of the attack itself
}

// The expected statuses of most cases.
var (
	streams   = []int{http.StatusOK}
	bad       = []int{http.StatusBadRequest}
	unknown   = []int{http.StatusUnauthorized}
	forbidden = []int{http.StatusForbidden}
	// undeliverable is the answer for a subject that no connection receives.
	undeliverable = []int{http.StatusUnprocessableEntity}

	tooLarge = []int{http.StatusRequestEntityTooLarge}
	closed   = []int{0}
)

// private is in an event that alice alone may read.
const private = "private-of-alice"

// target is a node under attack, with a healthy client that must not be affected.
type target struct {
	*harness
	log     *logText
	good    *listener
	goodAt  int    // its last event
	n       int    // of the last probe
	last    uint64 // of the stream, as far as the test has counted
	secrets []string
}

// logText is the whole log of a node.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newTarget starts a node that logs everything. healthy is the target and headers of the client for the user good.
func newTarget(t *testing.T, change func(*server.Options), healthy ...string) *target {
	t.Helper()
	g := &target{log: &logText{}}
	g.harness = newHarness(t, func(o *server.Options) {
		change(o)
		o.HTTP.BodyTimeout, o.Publish.IdleTimeout = 5*time.Second, time.Second
		o.Logger = slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	g.publish("notifications.user.alice", 1, 3)
	g.last = 3
	g.good = g.listenWith(healthy[0], healthy[1:]...)
	g.good.want("tidemark.open")
	g.probe()
	g.healthy(t)
	return g
}

// listenWith is listen with headers.
func (g *target) listenWith(path string, header ...string) *listener {
	g.t.Helper()
	l := &listener{t: g.t, events: make(chan sse.Event, 16)}
	c := g.dial(g.t, "")
	_ = c.SetDeadline(time.Time{}) // it stays open
	quit := make(chan struct{})
	l.cancel = sync.OnceFunc(func() { close(quit); c.Close() })
	_, _ = io.WriteString(c, g.bytes(attack{path: path, header: header}))
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(l.events)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			return
		}
		dec := sse.NewDecoder(resp.Body)
		for {
			ev, err := dec.Next()
			if err != nil {
				return
			}
			select {
			case l.events <- ev.Clone():
			case <-quit:
				return
			}
		}
	})
	g.t.Cleanup(func() { l.cancel(); reading.Wait() })
	return l
}

// secret adds text that must be in no answer and no log: the parts of a token, but for its header, or a key.
func (g *target) secret(token string) string {
	parts := strings.Split(token, ".")
	for i, part := range parts {
		if (i > 0 || len(parts) == 1) && len(part) > 20 {
			g.secrets = append(g.secrets, part[:min(len(part), 60)])
		}
	}
	return token
}

func (g *target) dial(t *testing.T, from string) net.Conn {
	t.Helper()
	var d net.Dialer
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", g.srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(8 * time.Second))
	return c
}

func (g *target) bytes(a attack) string {
	if a.raw != "" {
		return strings.ReplaceAll(a.raw, "{host}", g.srv.Addr().String())
	}
	var b strings.Builder
	method := a.method
	if method == "" {
		method = http.MethodGet
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, a.path, g.srv.Addr())
	for i := 0; i+1 < len(a.header); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", a.header[i], a.header[i+1])
	}
	if a.body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(a.body))
	}
	return b.String() + "\r\n" + a.body
}

// probe publishes an event for alice alone, then a broadcast, then an event for the healthy client. A client that
// has received the broadcast would have received the first event before it.
func (g *target) probe() (marker string) {
	g.t.Helper()
	g.n++
	marker = fmt.Sprintf("for-all-%d", g.n)
	g.store("notifications.user.alice", private)
	g.store("notifications.home.alicetown", private)
	g.store("notifications.city.paris", marker)
	g.store("notifications.topic.news.today", marker)
	g.store("notifications.user.mallory", marker)
	g.store("notifications.broadcast", marker)
	g.store("notifications.user.good", fmt.Sprint(g.n))
	return marker
}

func (g *target) store(subject, data string) {
	g.t.Helper()
	ack, err := g.js.Publish(g.t.Context(), subject, []byte(data))
	if err != nil {
		g.t.Fatal(err)
	}
	if g.last++; ack.Sequence != g.last {
		g.t.Errorf("the stream has %d events, want %d", ack.Sequence, g.last)
		g.last = ack.Sequence
	}
}

// healthy checks that the healthy client has the latest of its events, and all before.
func (g *target) healthy(t *testing.T) {
	t.Helper()
	for {
		select {
		case ev, ok := <-g.good.events:
			if !ok {
				t.Fatal("the healthy client was disconnected")
			}
			if string(ev.Data) == "x" { // of an attack that uses a permission it has
				continue
			}
			if strings.HasPrefix(string(ev.Data), "for-all-") || strings.HasPrefix(ev.Type, feed.ControlPrefix+"position") {
				continue
			}
			if number(ev.Data) != g.goodAt+1 {
				t.Fatalf("the healthy client received %s %q after %d", ev.Type, ev.Data, g.goodAt)
			}
			if g.goodAt++; g.goodAt == g.n {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("the healthy client has not received event %d", g.n)
		}
	}
}

// unchanged checks that nothing was stored but the counted events.
func (g *target) unchanged(t *testing.T, stored uint64) {
	t.Helper()
	g.last += stored
	info, err := g.stream().Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := info.State.LastSeq; got != g.last {
		t.Errorf("the stream has %d events, want %d", got, g.last)
		g.last = got
	}
}

// run makes an attack and checks the result.
func (g *target) run(t *testing.T, a attack) {
	c := g.dial(t, a.from)
	defer c.Close()
	var written sync.WaitGroup
	defer written.Wait()
	defer c.Close()
	written.Go(func() { _, _ = io.WriteString(c, g.bytes(a)) }) // the server refuses some before they are sent whole
	seen := &bytes.Buffer{}
	br := bufio.NewReader(io.TeeReader(c, seen))
	statuses, streaming := append([][]int{a.want}, each(a.more)...), false
	for _, want := range statuses {
		var req *http.Request
		if a.method == http.MethodHead {
			req = &http.Request{Method: http.MethodHead}
		}
		resp, err := http.ReadResponse(br, req)
		status := 0
		if err == nil {
			status = resp.StatusCode
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("no answer, and the connection stays open: %v", err)
		}
		if !slices.Contains(want, status) {
			t.Errorf("status %d, want one of %v: %.300q", status, want, seen.String())
		}
		if status == 0 {
			break
		}
		streaming = isStream(resp) && a.method != http.MethodHead
		if streaming {
			g.readStream(t, a, resp)
			break
		}
		g.readAnswer(t, a, resp)
	}
	g.unchanged(t, a.stored)
	if !streaming {
		g.probe()
	}
	g.nothingMore(t, c, br)
	g.judge(t, seen.Bytes())
	g.healthy(t)
}

// isStream reports that a response has no end.
func isStream(resp *http.Response) bool {
	kind := resp.Header.Get("Content-Type")
	return strings.HasPrefix(kind, "text/event-stream") || kind == "application/x-ndjson"
}
