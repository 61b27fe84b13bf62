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

func benchSessions(b *testing.B, n int, form Form) (h *Subscribe, log *feedtest.MemStore, wakes turns, sessions []*session) {
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
		path := "/"
		if form == FormEnvelope {
			path = "/?envelope=1"
		}
		s, err := h.newSession(httptest.NewRequest(http.MethodGet, path, nil), form)
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
	for _, form := range []Form{FormSSE, FormEnvelope, FormNDJSON} {
		b.Run(form.String(), func(b *testing.B) { benchTurn(b, form) })
	}
}

func benchTurn(b *testing.B, form Form) {
	const n = 1000
	_, log, wakes, sessions := benchSessions(b, n, form)
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
			h, _, _, sessions := benchSessions(b, n, FormSSE)
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
	h, _, _, _ := benchSessions(b, 1, FormSSE)
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

// BenchmarkPoll answers a poll that has an event, from the window and without a socket. It is the cost of a connect
// and of its end, too.
func BenchmarkPoll(b *testing.B) {
	h, log, _, _ := benchSessions(b, 0, FormSSE)
	log.Publish("n.all", "", make([]byte, 100))
	for h.opts.Feed.Status().High == 0 {
		time.Sleep(time.Millisecond)
	}
	r := httptest.NewRequest(http.MethodGet, "/?last_event_id=0-e1&limit=1", nil)
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		s, err := h.newSession(r, FormJSON)
		if err != nil {
			b.Fatal(err)
		}
		h.register(s, func() {}, nil)
		s.Start(noWaker{})
		if _, _, err := s.Append(buf, engine.WriteTurn{Room: 64 << 10, Now: time.Now()}); err != engine.ErrComplete {
			b.Fatal(err)
		}
		s.Ended(engine.ErrComplete, 0)
	}
}
