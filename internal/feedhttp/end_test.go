package feedhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

// readClose reads a response to its end, which must be an abort after tidemark.close.
func readClose(t testing.TB, s *stream, reason feedhttp.CloseReason) {
	t.Helper()
	before := s.LastEventID()
	last := s.ended(t)
	var c feedhttp.CloseEvent
	if err := json.Unmarshal(last.Data, &c); err != nil || last.Type != feedhttp.TypeClose || c.Reason != reason || c.Message == "" {
		t.Errorf("the last event is %q %s, want %s (%s)", last.Type, last.Data, feedhttp.TypeClose, reason)
	}
	retry, ok := s.Retry()
	if !ok || retry.Milliseconds() != c.RetryMS || retry < 500*time.Millisecond || retry > 1500*time.Millisecond {
		t.Errorf("retry %v beside %+v", retry, c)
	}
	if got := string(last.ID); got < before {
		t.Errorf("the farewell takes the id from %s to %s", before, got)
	}
}

func TestMaxAge_Reached_Closes(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const age = time.Second
		r := newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{MaxAge: age}})
		r.publish(1, "n.all") // it comes with the opening, however busy the machine is
		r.level(t)
		start := time.Now()
		s, _ := r.opened(t, "?from=all")
		s.want(t, "1-e1")
		readClose(t, s, feedhttp.CloseMaxAge)
		if lasted := time.Since(start); lasted < age*9/10 {
			t.Errorf("it lasted %v", lasted)
		}
		if s.LastEventID() != "1-e1" {
			t.Errorf("the client is left with the id %q", s.LastEventID())
		}
	})
}

func TestMaxIdle_NoEvents_Closes(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		for idle := 100 * time.Millisecond; !maxIdle(t, proto, idle); idle *= 2 {
			t.Logf("this machine is too busy for %v", idle)
		}
	})
}

// maxIdle reports false where the stream was idle before its event could be published.
func maxIdle(t *testing.T, proto string, idle time.Duration) bool {
	t.Helper()
	r := newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{MaxIdle: idle, Heartbeat: idle / 5}})
	connecting := time.Now()
	s, _ := r.opened(t, "")
	time.Sleep(idle / 2)
	sent := time.Now()
	r.publish(1, "n.all")
	r.publish(1, "n.others") // no event of this client: it stays idle
	if late := time.Since(connecting) >= idle; late {
		return false
	}
	s.want(t, "1-e1")
	readClose(t, s, feedhttp.CloseIdle)
	if silent := time.Since(sent); silent < idle {
		t.Errorf("idle after %v", silent)
	}
	return true
}

func TestDrain_LiveReplayingAndWaiting_ClosesAll(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		r.publish(5, "n.all")
		r.level(t)
		var streams []*stream
		for range 10 {
			s, _ := r.opened(t, "?last_event_id=5-e1")
			streams = append(streams, s)
		}
		var work sync.WaitGroup
		for range 3 { // more than one may ask
			work.Go(func() {
				if err := r.handler.Drain(r.ctx, 0); err != nil {
					t.Errorf("Drain: %v", err)
				}
			})
		}
		for _, s := range streams {
			readClose(t, s, feedhttp.CloseDrain)
		}
		work.Wait()
		if n := r.feed.Status().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions after Drain", n)
		}
		readClose(t, r.subscribe(t, "?last_event_id=5-e1"), feedhttp.CloseDrain) // a late comer
	})
}

func TestDrain_StoreDown_ClosesAll(t *testing.T) {
	log := newLogDown()
	r := newHarness(t, setup{log: log, opts: feedhttp.SubscribeOptions{Heartbeat: beat}})
	s := r.subscribe(t, "")
	if err := r.handler.Drain(r.ctx, 0); err != nil {
		t.Fatal(err)
	}
	readClose(t, s, feedhttp.CloseDrain)
}

func TestDrain_ClientsKeepConnecting_AllAreClosed(t *testing.T) {
	r := newHarness(t, setup{proto: "h2c"})
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 25 {
				s, err := r.connect("")
				if err != nil {
					t.Error(err)
					return
				}
				readClose(t, s, feedhttp.CloseDrain)
				s.resp.Body.Close()
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	for range 50 {
		if err := r.handler.Drain(r.ctx, 0); err != nil {
			t.Errorf("Drain: %v", err)
		}
	}
	work.Wait()
}

func TestFeed_Stops_ClosesLikeADrain(t *testing.T) {
	r := newHarness(t, setup{opts: feedhttp.SubscribeOptions{Heartbeat: beat}})
	s, _ := r.opened(t, "")
	r.stopFeed()
	readClose(t, s, feedhttp.CloseDrain)
	readClose(t, r.subscribe(t, ""), feedhttp.CloseDrain)
	readClose(t, r.subscribe(t, "?from=all"), feedhttp.CloseDrain)
}

func TestEnd_ClientsDisconnect_NothingIsLeft(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		for range 20 {
			s, _ := r.opened(t, "")
			s.resp.Body.Close()
		}
		r.await(t, "every subscription is closed", func() bool { return r.feed.Status().Subscriptions == 0 })
	})
}

func TestDrain_ClientAcceptsNothing_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newHarness(t, setup{
		server: smallServerBuffers, dial: smallBuffers,
		opts: feedhttp.SubscribeOptions{WriteTimeout: 2 * time.Second},
	})
	stuck := r.raw(t, "")
	stuck.block(t) // open
	r.Publish("n.all", "", []byte(strings.Repeat("x", 8<<20)))
	if _, err := stuck.ReadByte(); err != nil { // it is being written
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
	defer cancel()
	if err := r.handler.Drain(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain with a client that takes no bytes: %v", err)
	}
	if err := r.handler.Drain(r.ctx, 0); err != nil {
		t.Errorf("Drain with waitTimeout: %v", err)
	}
}
