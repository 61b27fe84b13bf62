package tidemark_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/pkg/tidemark"
	"github.com/tidemark/tidemark/pkg/tidemark/tidemarktest"
)

func TestServe_HTTP2InTheClear_ServesEvents(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	url := ways["engine"](t, f, f)
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	for range 3 {
		publish(t, f, "news.all", 1)
		if ev := connect(t, &http.Client{Transport: tr}, url+"?from=1").next(t, ""); string(ev.Data) != "1" {
			t.Errorf("received %s", ev.Data)
		}
	}
}

func TestServe_OtherPaths_AreServedAsByNetHTTP(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	mux := http.NewServeMux()
	mux.Handle("GET /events", f)
	mux.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	url := ways["engine"](t, f, mux)
	client := newClient(t)
	for range 2 {
		c := connect(t, client, url+"/events")
		c.next(t, "tidemark.open")
		resp, err := client.Post(url+"/events", "text/plain", &slowBody{left: 3}) //nolint:noctx // it ends with the server
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if string(text) != "xxx" || err != nil {
			t.Errorf("POST at the path of the feed: %q, %v", text, err)
		}
	}
}

// slowBody is a body in several pieces.
type slowBody struct{ left int }

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	b.left--
	return copy(p, "x"), nil
}

func TestDrain_ContextEnds_ReturnsAndCloseEndsTheRest(t *testing.T) {
	n := startNATS(t)
	opts := newsOptions()
	opts.DrainPeriod = time.Hour
	f := n.open(t, opts)
	url := ways["engine"](t, f, f)
	client := newClient(t)
	for range 1000 { // 200 a second leave: it lasts five seconds
		c := connect(t, client, url)
		c.next(t, "tidemark.open")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the program cannot wait")
	cancel(why)
	if err := f.Drain(ctx); !errors.Is(err, why) {
		t.Errorf("Drain: %v", err)
	}
	f.Close()
	if left := f.Status().Connections; left != 0 {
		t.Errorf("%d connections are left", left)
	}
}

func TestLimits_PerUserIsReached_ClosesTheConnection(t *testing.T) {
	n := startNATS(t)
	opts := newsOptions()
	opts.Limits.PerUser = 2
	f := n.open(t, opts)
	eachURL := []string{ways["engine"](t, f, f), ways["handler"](t, f, f)} // they share the limit
	client := newClient(t)
	for _, url := range eachURL {
		connect(t, client, url, "X-User", "42").next(t, "tidemark.open")
	}
	for _, url := range eachURL {
		if reason := field(t, connect(t, client, url, "X-User", "42").next(t, "tidemark.close"), "reason"); reason != "limit" {
			t.Errorf("the reason is %q", reason)
		}
		connect(t, client, url, "X-User", "7"+url).next(t, "tidemark.open")
	}
}

func TestOpen_SeparateConnections_CarryTailAndReplays(t *testing.T) {
	n := startNATS(t)
	opts := newsOptions()
	opts.Window.Events = 1 // a replay reads the stream
	for _, to := range []**nats.Conn{&opts.TailConn, &opts.ReplayConn} {
		closed := make(chan struct{})
		nc, err := nats.Connect(n.nc.ConnectedUrl(), append(tidemark.NATSOptions(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			nc.Close()
			<-closed
		})
		*to = nc
	}
	f := n.open(t, opts)
	url := ways["engine"](t, f, f)
	const events = 50
	live := connect(t, newClient(t), url)
	live.next(t, "tidemark.open")
	for i := range events {
		publish(t, f, "news.all", i)
	}
	for range events {
		live.next(t, "") // afterwards the tail has read all of them, and the window has only the last
	}
	c := connect(t, newClient(t), url+"?from=all")
	for range events {
		c.next(t, "")
	}
	if in := opts.ReplayConn.Stats().InMsgs; in < events-1 {
		t.Errorf("the connection of replays has received %d messages", in)
	}
	if in := opts.TailConn.Stats().InMsgs; in < events {
		t.Errorf("the connection of the tail has received %d messages", in)
	}
}

// Serve, Drain and Close may come in any order, at any moment.
func TestServe_DrainedAndClosedMeanwhile_Ends(t *testing.T) {
	for round := range 100 {
		f := tidemarktest.New(t, tidemark.Options{Subjects: []string{"n.all"}})
		l := listen(t)
		var parts sync.WaitGroup
		parts.Go(func() {
			if err := f.Serve(l, nil); err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("round %d: Serve: %v", round, err)
			}
		})
		answered := make(chan struct{})
		parts.Go(func() {
			defer close(answered)
			resp, err := newClient(t).Get("http://" + l.Addr().String()) //nolint:noctx // it ends with the feed
			if err == nil {
				t.Cleanup(func() { _ = resp.Body.Close() })
			}
		})
		if round%4 < 2 {
			<-answered // a connection is open; else Serve may not have begun
		}
		if round%2 == 0 {
			parts.Go(func() {
				if err := f.Drain(t.Context()); err != nil {
					t.Errorf("round %d: Drain: %v", round, err)
				}
			})
		}
		parts.Go(f.Close)
		parts.Wait()
	}
}
