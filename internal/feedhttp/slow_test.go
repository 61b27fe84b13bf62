package feedhttp_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// slowSetup is one where the kernel and the client's transport take little on behalf of a
// client that reads nothing.
func slowSetup(proto string) setup {
	return setup{
		proto: proto, server: smallServerBuffers, dial: smallBuffers,
		client: func(tr *http.Transport) {
			tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
		},
		feed: feed.Options{WindowEvents: 500, MaxPending: 32},
	}
}

// rest counts the events of a response, up to its end or to the event last.
func rest(s *stream, last string) (n int, err error) {
	for {
		ev, err := s.Next()
		if err != nil {
			return n, err
		}
		if ev.Type == "" {
			n++
		}
		if string(ev.ID) == last {
			return n, nil
		}
	}
}

// Others receive thousands of events without delay. The client is disconnected, and resumes without a
// loss.
func TestSlow_ClientReadsNothing_OthersAreNotDelayed(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const total = 3000
		with := slowSetup(proto)
		with.opts.WriteTimeout = 2 * time.Second // which the quick one must keep
		r := newHarness(t, with)
		r.ReadBatch = 100
		stuck, _ := r.opened(t, "")
		quick, _ := r.opened(t, "")
		payload := make([]byte, 1000)
		for i := range payload {
			payload[i] = 'x'
		}
		go func() {
			for range total {
				r.Publish("n.all", "", payload)
			}
		}()
		last := strconv.Itoa(total) + "-e1"
		if n, err := rest(quick, last); n != total || err != nil {
			t.Errorf("the quick client got %d events: %v", n, err)
		}
		quick.resp.Body.Close()
		r.await(t, "the stuck client is cut off", func() bool { return r.feed.Status().Subscriptions == 0 })
		before, err := rest(stuck, last)
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("the stuck client got %d events, then %v", before, err)
		}
		back, open := r.opened(t, "", "Last-Event-ID", stuck.LastEventID())
		after, err := rest(back, last)
		if err != nil || !open.Resumed || before+after != total {
			t.Errorf("%d events before the cut and %d after it: %v, %+v", before, after, err, open)
		}
	})
}

// It reads for longer than the write timeout and the idle time.
func TestSlow_ClientReadsSlowly_IsNotClosed(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		// The sockets hold some sixteen events, which the client reads when the server has long been
		// rid of them: that time must be a small part of the limit.
		const total, size, limit = 192, 32 << 10, 2 * time.Second
		with := slowSetup(proto)
		with.opts = feedhttp.SubscribeOptions{WriteTimeout: limit, MaxIdle: limit, Heartbeat: limit / 8}
		r := newHarness(t, with)
		for range total {
			r.Publish("n.all", "", make([]byte, size*3/4)) // as base64 it has the size
		}
		r.await(t, "the window holds everything", func() bool { return r.feed.Status().High == total })
		s, _ := r.opened(t, "?from=all") // in one write
		start := time.Now()
		for n := range total + 1 {
			if n == total {
				r.publish(1, "n.all") // a close event would come before it
			}
			for ev := s.next(t); ev.Type != ""; ev = s.next(t) {
				if ev.Type == feedhttp.TypeClose {
					t.Fatalf("after %d events and %v: %s", n, time.Since(start), ev.Data)
				}
			}
			time.Sleep(2 * limit / total)
		}
	})
}
