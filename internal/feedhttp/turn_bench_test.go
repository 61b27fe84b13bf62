package feedhttp

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/subject"
)

// turns counts the wakes of sessions, in place of an engine.
type turns chan struct{}

func (t turns) Wake() { t <- struct{}{} }

func benchSessions(b *testing.B, n int) (h *Subscribe, log *feedtest.MemStore, wakes turns, sessions []*session) {
	log = feedtest.NewMemStore()
	f := feed.New(log, feed.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var tail sync.WaitGroup
	tail.Go(func() { _ = f.Run(ctx) })
	b.Cleanup(func() { cancel(); tail.Wait() })
	<-f.Ready()
	t, err := subject.ParseTemplate("n.all")
	if err != nil {
		b.Fatal(err)
	}
	h = NewSubscribe(SubscribeOptions{Feed: f, Stream: "NEWS", Selection: Selection{Defaults: []subject.Template{t}}})
	wakes = make(turns, 4*n)
	for range n {
		s, err := h.newSession(httptest.NewRequest(http.MethodGet, "/", nil), FormSSE)
		if err != nil {
			b.Fatal(err)
		}
		h.register(s, func() {}, nil)
		s.Start(wakes)
		sessions = append(sessions, s)
		<-wakes
	}
	return h, log, wakes, sessions
}

// BenchmarkTurn hands one event to each of a thousand sessions, without a socket. It is the cost of a
// delivery without its write.
func BenchmarkTurn(b *testing.B) {
	const n = 1000
	_, log, wakes, sessions := benchSessions(b, n)
	buf := make([]byte, 0, 64<<10)
	turn := func() {
		for _, s := range sessions {
			if _, _, err := s.Append(buf, engine.WriteTurn{Room: 64 << 10, Now: time.Now()}); err != nil {
				b.Fatal(err)
			}
		}
	}
	turn() // the openings
	payload := make([]byte, 100)
	for b.Loop() {
		log.Publish("n.all", "", payload)
		for range n {
			<-wakes
		}
		turn()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/delivery")
}

// BenchmarkStatus is the cost of a scrape.
func BenchmarkStatus(b *testing.B) {
	for _, n := range []int{1000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, _, _, sessions := benchSessions(b, n)
			for _, s := range sessions {
				_, _, _ = s.Append(nil, engine.WriteTurn{Room: 64 << 10, Now: time.Now()})
			}
			for b.Loop() {
				if s := h.Status(); s.Live != n {
					b.Fatalf("%+v", s)
				}
			}
		})
	}
}

// BenchmarkConnect accepts a connection from the window, writes its first turn, and closes it, without a
// socket.
func BenchmarkConnect(b *testing.B) {
	h, _, _, _ := benchSessions(b, 1)
	r := httptest.NewRequest(http.MethodGet, "/?subject=n.all", nil)
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		s, err := h.newSession(r, FormSSE)
		if err != nil {
			b.Fatal(err)
		}
		h.register(s, func() {}, nil)
		s.Start(noWaker{})
		if _, _, err := s.Append(buf, engine.WriteTurn{Room: 64 << 10, Now: time.Now()}); err != nil {
			b.Fatal(err)
		}
		s.Ended(engine.ErrGone, 0)
	}
}

// noWaker is an engine.Waker for a session whose turns are called directly.
type noWaker struct{}

func (noWaker) Wake() {}
