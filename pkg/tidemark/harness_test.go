package tidemark_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/sse"
	"github.com/tidemark/tidemark/pkg/tidemark"
)

// waitTimeout bounds every wait, so that a missing event fails the test instead of blocking it.
const waitTimeout = time.Minute

// testNATS is a NATS server of the test, with a connection and the streams NEWS and CHAT.
type testNATS struct {
	nc *nats.Conn
	js jetstream.JetStream
}

func startNATS(t testing.TB) testNATS {
	t.Helper()
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	closed := make(chan struct{})
	nc, err := nats.Connect(srv.ClientURL(), append(tidemark.NATSOptions(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	n := testNATS{nc, js}
	n.create(t, jetstream.StreamConfig{Name: "NEWS", Subjects: []string{"news.>"}})
	n.create(t, jetstream.StreamConfig{Name: "CHAT", Subjects: []string{"chat.>"}})
	return n
}

func (n testNATS) create(t testing.TB, cfg jetstream.StreamConfig) {
	t.Helper()
	if _, err := n.js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// users identifies by X-User from this machine, as a gateway's header.
var users = auth.TrustedHeader("X-User", "127.0.0.1")

func newsOptions() tidemark.Options {
	return tidemark.Options{
		Stream: "NEWS", Subjects: []string{"news.all", "news.user.{user}"}, Allow: []string{"news.topic.>"},
		Identify: auth.First(users), Heartbeat: time.Hour,
	}
}

func (n testNATS) open(t testing.TB, opts tidemark.Options) *tidemark.Feed {
	t.Helper()
	f, err := tidemark.Open(t.Context(), n.nc, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// ways are the two ways to serve a mux. Each returns the base URL.
var ways = map[string]func(t testing.TB, f *tidemark.Feed, mux http.Handler) string{
	"handler": func(t testing.TB, _ *tidemark.Feed, mux http.Handler) string {
		l := listen(t)
		srv := &http.Server{Handler: mux, ReadHeaderTimeout: waitTimeout}
		var serving sync.WaitGroup
		serving.Go(func() { _ = srv.Serve(l) })
		t.Cleanup(func() {
			_ = srv.Close()
			serving.Wait()
		})
		return "http://" + l.Addr().String()
	},
	"engine": func(t testing.TB, f *tidemark.Feed, mux http.Handler) string {
		l := listen(t)
		ended := make(chan error, 1)
		go func() { ended <- f.Serve(l, mux) }()
		t.Cleanup(func() {
			f.Close()
			if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve returned %v", err)
			}
		})
		return "http://" + l.Addr().String()
	},
}

func eachWay(t *testing.T, test func(t *testing.T, serve func(testing.TB, *tidemark.Feed, http.Handler) string)) {
	for name, serve := range ways {
		t.Run(name, func(t *testing.T) { test(t, serve) })
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newClient returns a client whose sockets end with the test.
func newClient(t testing.TB) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// conn is one connection of a client.
type conn struct {
	*sse.Decoder
	status int
	cancel context.CancelFunc
	body   io.ReadCloser
}

// connect sends a GET; header is name, value, name, value.
func connect(t testing.TB, client *http.Client, url string, header ...string) *conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{Decoder: sse.NewDecoder(resp.Body), status: resp.StatusCode, cancel: cancel, body: resp.Body}
	t.Cleanup(c.close)
	return c
}

// close disconnects.
func (c *conn) close() {
	c.cancel()
	_ = c.body.Close()
}

// next returns the next event of a type, or of any other than control events if it is empty.
func (c *conn) next(t testing.TB, typ string) sse.Event {
	t.Helper()
	for {
		ev, err := c.Next()
		if err != nil {
			t.Fatalf("while waiting for an event %q: %v", typ, err)
		}
		if ev.Type == typ || typ == "" && (len(ev.Type) < 9 || ev.Type[:9] != "tidemark.") {
			return ev
		}
	}
}

func field(t testing.TB, ev sse.Event, name string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(ev.Data, &fields); err != nil {
		t.Fatal(err)
	}
	text, _ := fields[name].(string)
	return text
}

func publish(t testing.TB, f *tidemark.Feed, subject string, n int) tidemark.Ack {
	t.Helper()
	ack, err := f.Publish(t.Context(), tidemark.Message{Subject: subject, Data: []byte(strconv.Itoa(n))})
	if err != nil {
		t.Fatal(err)
	}
	return ack
}
