package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/sse"
)

// harness is a node with a NATS server, both real, and a client of that server.
type harness struct {
	t    *testing.T
	base string
	srv  *server.Server
	nc   *nats.Conn
	js   jetstream.JetStream
	stop func() // ends the node, and waits for it
	dir  string // where the NATS server keeps its streams
}

// testStream is the built-in NOTIFICATIONS, with permission to purge, to delete, and to fill it up.
func testStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "NOTIFICATIONS", Subjects: []string{"notifications.>"}, Storage: jetstream.FileStorage,
		MaxConsumers: 100_000, AllowDirect: true, Duplicates: 2 * time.Minute,
	}
}

func templates(t testing.TB, texts ...string) (out []subject.Template) {
	t.Helper()
	for _, text := range texts {
		tmpl, err := subject.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tmpl)
	}
	return out
}

// options returns the options of a node on free ports with a NATS server at url.
func options(t testing.TB, url string) server.Options {
	opts := server.Options{
		HTTP:    server.HTTPOptions{Addr: "127.0.0.1:0", ShutdownTimeout: 5 * time.Second, EngineOff: withoutEngine(t)},
		Dev:     true,
		Streams: []jetstream.StreamConfig{testStream()},
		Feeds: []server.FeedOptions{{
			Name: "notifications", Paths: []string{"/events", "/sse-notifications", "/api/events/subscribe"}, Stream: "NOTIFICATIONS",
			Subjects: templates(t, "notifications.broadcast", "notifications.user.{user}"),
			Allow:    templates(t, "notifications.city.*", "notifications.topic.>"),
		}},
		SSE:     server.SSEOptions{Retry: 50 * time.Millisecond},
		Publish: server.PublishOptions{Enabled: true},
		Console: true,
		Logger:  slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	opts.NATS.URL = url
	return opts
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// startNATS runs a NATS server until the test ends, or until stop.
func startNATS(t testing.TB, addr, dir string) (url string, stop func()) {
	t.Helper()
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: addr, Dir: dir, SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(srv.Stop)
	t.Cleanup(stop)
	return srv.ClientURL(), stop
}

// newHarness starts a NATS server and a node on it, and waits until the node is ready.
func newHarness(t *testing.T, change func(*server.Options)) *harness {
	t.Helper()
	dir := t.TempDir()
	url, _ := startNATS(t, "127.0.0.1:0", dir)
	opts := options(t, url)
	if change != nil {
		change(&opts)
	}
	r := startNode(t, opts)
	r.dir = dir
	r.connect(url)
	r.awaitReady()
	return r
}

func startNode(t *testing.T, opts server.Options) *harness {
	t.Helper()
	srv, err := server.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	r := &harness{t: t, srv: srv, base: "http://" + srv.Addr().String()}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(r.stop)
	return r
}

func (r *harness) connect(url string) {
	r.t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	r.useConn(nc)
}

// useConn makes r publish over a connection.
func (r *harness) useConn(nc *nats.Conn) {
	r.t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	r.nc, r.js = nc, js
}

func (r *harness) awaitReady() {
	r.t.Helper()
	r.eventually("ready", func() bool { return r.status("/readyz") == http.StatusOK })
}

// eventually polls until ok returns true, and fails the test after a generous time.
func (r *harness) eventually(what string, ok func() bool) {
	r.t.Helper()
	for range 400 {
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.t.Fatalf("timeout waiting for: %s", what)
}

func (r *harness) status(path string) int {
	resp, err := http.Get(r.base + path)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// publish stores numbered events through NATS, as a producer would.
func (r *harness) publish(subject string, from, to int) {
	r.t.Helper()
	for i := from; i <= to; i++ {
		if _, err := r.js.Publish(r.t.Context(), subject, fmt.Appendf(nil, "%d", i)); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *harness) stream() jetstream.Stream {
	r.t.Helper()
	s, err := r.js.Stream(r.t.Context(), "NOTIFICATIONS")
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// deleteStream waits also until the files are removed. nats-server 2.15.2 renames them and removes them in the
// background. A stream that is created under the same name before that fails (err_code 10049), or finds messages
// of the deleted one.
func (r *harness) deleteStream() {
	r.t.Helper()
	if err := r.js.DeleteStream(r.t.Context(), "NOTIFICATIONS"); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("the files are removed", func() bool {
		aside, err := filepath.Glob(filepath.Join(r.dir, "jetstream", "*", "streams", ".NOTIFICATIONS"))
		return err == nil && len(aside) == 0
	})
}

// request sends a request and reads the whole answer. Headers are name, value; Host is the request's.
func (r *harness) request(method, url, body string, header ...string) (*http.Response, []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, raw
}

// post sends JSON and returns the status and the answer.
func (r *harness) post(path, body string, header ...string) (int, map[string]any) {
	r.t.Helper()
	resp, raw := r.request(http.MethodPost, r.base+path, body, header...)
	answer := map[string]any{}
	if !bytes.HasPrefix(raw, []byte("[")) {
		if err := json.Unmarshal(raw, &answer); err != nil {
			r.t.Errorf("%s answered %q", path, raw)
		}
	}
	return resp.StatusCode, answer
}

// listener is one connection to a feed.
type listener struct {
	t      *testing.T
	cancel context.CancelFunc
	events chan sse.Event // closed when the connection ends
	last   string
}

// listen opens a feed; id is the Last-Event-ID, or empty.
func (r *harness) listen(path, id string) *listener {
	r.t.Helper()
	if id == "" {
		return r.listenAs(path)
	}
	return r.listenAs(path, "Last-Event-ID", id)
}

// listenAs opens a feed with headers: name, value, name, value.
func (r *harness) listenAs(path string, header ...string) *listener {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("%s: %s: %s", path, resp.Status, body)
	}
	l := &listener{t: r.t, cancel: cancel, events: make(chan sse.Event, 16)}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(l.events)
		defer resp.Body.Close()
		dec := sse.NewDecoder(resp.Body)
		for {
			ev, err := dec.Next()
			if err != nil {
				return
			}
			select {
			case l.events <- ev.Clone():
			case <-ctx.Done():
				return
			}
		}
	})
	r.t.Cleanup(func() { cancel(); reading.Wait() })
	return l
}

// next returns the next event of any type.
func (l *listener) next() sse.Event {
	l.t.Helper()
	select {
	case ev, ok := <-l.events:
		if !ok {
			l.t.Fatal("the connection ended")
		}
		l.last = string(ev.ID)
		return ev
	case <-time.After(20 * time.Second):
		l.t.Fatal("no event came")
		return sse.Event{}
	}
}

// want reads events and compares them, each as "type data" or "data".
func (l *listener) want(events ...string) {
	l.t.Helper()
	for _, want := range events {
		ev := l.next()
		got := string(ev.Data)
		if ev.Type != "" {
			got = ev.Type + " " + got
		}
		if strings.HasPrefix(ev.Type, feed.ControlPrefix) {
			got = ev.Type
			if ev.Type == "tidemark.gap" {
				got += " " + field(ev.Data, "reason")
			}
		}
		if got != want {
			l.t.Fatalf("received %q, want %q", got, want)
		}
	}
}

// wantNumbers reads the events numbered from..to.
func (l *listener) wantNumbers(from, to int) {
	l.t.Helper()
	for i := from; i <= to; i++ {
		l.want(fmt.Sprint(i))
	}
}

func field(data []byte, name string) string {
	var fields map[string]any
	_ = json.Unmarshal(data, &fields)
	return fmt.Sprint(fields[name])
}
