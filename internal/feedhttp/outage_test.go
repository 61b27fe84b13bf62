package feedhttp_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// newLogDown is a log with two events that is out of reach.
func newLogDown() *feedtest.MemStore {
	log := feedtest.NewMemLog()
	log.Publish("n.all", "", []byte("x"))
	log.Publish("n.all", "", []byte("x"))
	log.SetDown(errors.New("not up yet"))
	return log
}

// TestLogDownAtTheStart: a client is answered at once, hears that the stream lives, and goes
// on when the log is there.
func TestLogDownAtTheStart(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newRig(t, setup{proto: proto, log: newLogDown(), opts: feedhttp.SubscribeOptions{Heartbeat: beat}})
		s := r.raw(t, "?from=all&heartbeat=event")
		for _, want := range []string{"retry: N\n:\n\n", ":\n\n"} {
			if got := tame(s.block(t)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		r.SetDown(nil)
		open := "event: tidemark.open\ndata: {\"stream\":\"NEWS\",\"position\":\"0-e1\",\"resumed\":false,\"pending\":2,\"subjects\":[\"n.all\"]}\nid: 0-e1\n\n"
		if got := s.skip(t, ":\n\n"); got != open {
			t.Errorf("got %q, want %q", got, open)
		}
		for _, want := range []string{"data: x\nid: 1-e1\n\n", "data: x\nid: 2-e1\n\n"} {
			if got := s.skip(t, "event: tidemark.position\ndata: {\"position\":\"0-e1\"}\nid: 0-e1\n\n"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// TestFirstSign comes after a second at the latest, however long the heartbeat.
func TestFirstSign(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{log: newLogDown()})
	if got := tame(r.raw(t, "").block(t)); got != "retry: N\n:\n\n" {
		t.Errorf("got %q", got)
	}
}

func TestOutage(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newRig(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{Heartbeat: beat}})
		s, _ := r.opened(t, "")
		r.publish(2, "n.all")
		s.want(t, "1-e1", "2-e1")
		r.SetDown(errors.New("cut"))
		r.publish(3, "n.all")
		late := r.subscribe(t, "?last_event_id=1-e1")
		time.Sleep(5 * beat)
		r.SetDown(nil)
		s.want(t, ids("e1", 3, 5)...)
		var open feedhttp.Open
		late.control(t, feedhttp.TypeOpen, &open)
		late.want(t, ids("e1", 2, 5)...)
	})
}

// strayLog is a log whose stream is away for a while: it answers, but with an error.
type strayLog struct {
	*feedtest.MemStore
	away atomic.Bool
}

func (l *strayLog) State(ctx context.Context) (feed.State, error) {
	if l.away.Load() {
		return feed.State{}, feed.ErrNoStream
	}
	return l.MemStore.State(ctx)
}

// TestStreamAway: a client that comes while the stream does not exist waits for it on the
// connection that it has. EventSource would take another answer for the last word.
func TestStreamAway(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		log := &strayLog{MemStore: feedtest.NewMemLog()}
		r := newRig(t, setup{
			proto: proto, log: log.MemStore, behind: log,
			opts: feedhttp.SubscribeOptions{Heartbeat: beat, ReplayFromLog: true},
		})
		r.publish(3, "n.all")
		r.level(t)
		log.away.Store(true)
		s := r.raw(t, "", "Last-Event-ID", "1-e1")
		if got := tame(s.block(t)); got != "retry: N\n:\n\n" {
			t.Errorf("got %q", got)
		}
		log.away.Store(false)
		s.skip(t, ":\n\n") // open
		for _, want := range []string{"data: x\nid: 2-e1\n\n", "data: x\nid: 3-e1\n\n"} {
			if got := s.skip(t, ":\n\n"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// TestServerTimeouts: what a server has against slow requests does not end streams.
func TestServerTimeouts(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const limit = time.Second // which a handshake must keep on a busy machine, too
		r := newRig(t, setup{proto: proto, server: func(s *http.Server) {
			s.ReadTimeout, s.ReadHeaderTimeout, s.WriteTimeout, s.IdleTimeout = limit, limit, limit, limit
		}})
		s, _ := r.opened(t, "")
		time.Sleep(3 * limit)
		r.publish(1, "n.all")
		s.want(t, "1-e1")
	})
}

// TestNextUpstream: a proxy that has other nodes hears 503, and nobody else does.
func TestNextUpstream(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newRig(t, setup{proto: proto, log: newLogDown(), opts: feedhttp.SubscribeOptions{Heartbeat: beat}})
		status := func(header string) int {
			t.Helper()
			resp, err := r.do(http.MethodGet, "/", feedhttp.NextUpstream, header)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		check := func(what string, proxied int) {
			t.Helper()
			if got := status("503"); got != proxied {
				t.Errorf("%s: %d through a proxy with other nodes, want %d", what, got, proxied)
			}
			for _, header := range []string{"", "502"} {
				if got := status(header); got != http.StatusOK {
					t.Errorf("%s: %d with %q", what, got, header)
				}
			}
		}
		check("the log is down just now", http.StatusOK)
		r.await(t, "the log is down for long", func() bool { return status("503") == http.StatusServiceUnavailable })
		check("the log is down for long", http.StatusServiceUnavailable)
		r.SetDown(nil)
		<-r.feed.Ready()
		check("the log is there", http.StatusOK)
		if err := r.handler.Drain(r.ctx, 0); err != nil {
			t.Fatal(err)
		}
		check("drained", http.StatusServiceUnavailable)
	})
}
