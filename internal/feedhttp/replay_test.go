package feedhttp_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// replays keeps the calls of Replayed.
type replays struct {
	mu  sync.Mutex
	all []feedhttp.Replay
}

func (r *replays) add(one feedhttp.Replay) feed.TraceContext {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
	return feed.TraceContext{Parent: aParent}
}

// take returns the replays since the last call.
func (r *replays) take() []feedhttp.Replay {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// They are the first replay of a connection and those of a client that did not read in time, not a
// resume from the window.
func TestReplayed_EachReplay_IsReported(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const total = 3000
		var told replays
		with := slowSetup(proto)
		with.opts.Replayed = told.add
		r := newHarness(t, with)
		r.publish(600, "n.all") // 100 beyond the window
		r.await(t, "the tail has read it", func() bool { return r.feed.Status().High == 600 })
		fromWindow, _ := r.opened(t, "", "Last-Event-ID", "590-e1")
		fromWindow.want(t, "591-e1")
		_ = fromWindow.resp.Body.Close()
		s, _ := r.opened(t, "", "Last-Event-ID", "0-e1")
		for n := range 600 {
			s.want(t, strconv.Itoa(n+1)+"-e1")
		}
		r.publish(1, "n.all")
		s.want(t, "601-e1")
		first := told.take()
		if len(first) != 1 || !first[0].First || !first[0].CaughtUp || first[0].Events != 600 || first[0].From.Seq != 0 || first[0].To.Seq != 600 {
			t.Fatalf("%+v", first)
		}
		for round := range 2 {
			from := 601 + round*total
			for range total {
				r.Publish("n.all", "", make([]byte, 1000))
			}
			last := strconv.Itoa(from+total) + "-e1"
			if n, err := rest(s, last); n != total || err != nil {
				t.Fatalf("%d events: %v", n, err)
			}
			r.await(t, "it is level", func() bool { return r.handler.Status().Replaying == 0 })
			later := told.take()
			if len(later) == 0 {
				t.Errorf("round %d: it needed the log, and nobody heard", round)
			}
			for _, one := range later {
				if one.First || !one.CaughtUp || one.Events < 1 || one.To.Seq <= one.From.Seq || one.Trace.Parent != aParent {
					t.Errorf("round %d: %+v", round, one)
				}
			}
		}
	})
}

func TestReplayed_ClientDisconnects_IsNotCaughtUp(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		var told replays
		with := slowSetup(proto)
		with.opts.Replayed = told.add
		r := newHarness(t, with)
		r.ReadBatch = 100
		for range 3000 {
			r.Publish("n.all", "", make([]byte, 1000))
		}
		r.await(t, "the tail has read it", func() bool { return r.feed.Status().High == 3000 })
		s, _ := r.opened(t, "?from=all", "traceparent", "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate", "a=b")
		s.want(t, "1-e1")
		_ = s.resp.Body.Close()
		var all []feedhttp.Replay
		r.await(t, "the replay is told", func() bool { all = append(all, told.take()...); return len(all) > 0 })
		one := all[0]
		if one.CaughtUp || !one.First || one.Trace.Parent != "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" || one.Trace.State != "a=b" {
			t.Errorf("%+v", one)
		}
	})
}
