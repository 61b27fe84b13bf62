package jetstore_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

const benchEvents = 100_000

func benchStand(b *testing.B) (*stand, *jetstore.Store) {
	b.Helper()
	s := newStand(b)
	s.publishMany(benchEvents, "notifications.user.42")
	return s, s.open(jetstore.Options{})
}

func reportEvents(b *testing.B, n int) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkReplay reads 100,000 stored events through one replay.
func BenchmarkReplay(b *testing.B) {
	s, l := benchStand(b)
	total := 0
	for b.Loop() {
		total += replay(b, l, s.ctx(), feed.ReadOptions{From: 1, To: benchEvents})
	}
	if total != b.N*benchEvents {
		b.Fatalf("%d events in %d replays", total, b.N)
	}
	reportEvents(b, total)
}

func replay(tb testing.TB, l *jetstore.Store, ctx context.Context, opts feed.ReadOptions) (n int) {
	tb.Helper()
	r, err := l.Read(ctx, opts)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	for size := 128 << 10; ; size = min(2*size, 1<<20) { // as a feed reads for a client that takes all
		r.Request(size)
		batch, err := r.Next(ctx)
		r.Request(size)
		n += len(batch.Events)
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkResume is what one client costs that missed ten events.
func BenchmarkResume(b *testing.B) {
	s, l := benchStand(b)
	ctx := s.ctx()
	opts := feed.ReadOptions{From: benchEvents - 9, To: benchEvents, Filters: []string{"notifications.broadcast", "notifications.user.42"}}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if n := replay(b, l, ctx, opts); n != 10 {
				b.Errorf("%d events", n)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "resumes/s")
}

// BenchmarkFollow follows 100,000 stored events.
func BenchmarkFollow(b *testing.B) {
	s, l := benchStand(b)
	opts := feed.FollowOptions{From: 1, Epoch: s.epoch(l)}
	total := 0
	for b.Loop() {
		for ev, err := range l.Follow(s.ctx(), opts) {
			if err != nil {
				b.Fatal(err)
			}
			total++
			if ev.Seq == benchEvents {
				break
			}
		}
	}
	reportEvents(b, total)
}

// BenchmarkPublish stores messages one by one, and a hundred in one call.
func BenchmarkPublish(b *testing.B) {
	for name, n := range map[string]int{"one": 1, "hundred": 100} {
		b.Run(name, func(b *testing.B) {
			s := newStand(b)
			p, err := jetstore.NewPublisher(s.nc, jetstore.PublisherOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			batch := make([]feed.Message, n)
			for i := range batch {
				batch[i] = feed.Message{Subject: "notifications.user.42", Type: "greeting", Data: []byte(`{"text":"hi"}`)}
			}
			ctx := s.ctx()
			for b.Loop() {
				for _, r := range p.Publish(ctx, batch...) {
					if r.Err != nil {
						b.Fatal(r.Err)
					}
				}
			}
			reportEvents(b, b.N*n)
		})
	}
}

// BenchmarkPublishBesideLast publishes while 30 clients start at the latest event of each of 100,000
// subjects at once. It reports how long a publish takes: what one in a hundred exceeds, and the
// longest.
func BenchmarkPublishBesideLast(b *testing.B) {
	const subjects, clients = 100_000, 30
	s := newStand(b)
	s.manySubjects(subjects)
	l := s.open(jetstore.Options{})
	ctx := s.ctx()
	var took []time.Duration
	for b.Loop() {
		var starting sync.WaitGroup
		started := make(chan struct{})
		for range clients {
			starting.Go(func() {
				r, err := l.Read(ctx, feed.ReadOptions{From: 1, To: subjects, LastPerSubject: true, Subjects: subjects, Filters: []string{"notifications.topic.>"}})
				if err != nil {
					b.Error(err)
					return
				}
				r.Close()
			})
		}
		go func() {
			starting.Wait()
			close(started)
		}()
		for done := false; !done; {
			began := time.Now()
			if _, err := s.js.Publish(ctx, "notifications.other", nil); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
			select {
			case <-started:
				done = true
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "longest-ms")
}

// BenchmarkCheck is what it costs to compare a window of the default size with its stream: by the
// number of its events, and by their headers.
func BenchmarkCheck(b *testing.B) {
	const window = 65_536
	s, l := benchStand(b)
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			if n, err := l.Count(s.ctx(), benchEvents-window+1); n != window || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if n := replay(b, l, s.ctx(), feed.ReadOptions{From: benchEvents - window + 1, To: benchEvents, HeadersOnly: true}); n != window {
				b.Fatal(n)
			}
		}
		reportEvents(b, window*b.N)
	})
}
