package feed

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func benchFeed(subscribers int, filter func(i int) string) (*Feed, []*Subscription) {
	f := New(nil, Options{})
	f.epoch = "k7f3q9"
	f.window.reset(0)
	close(f.ready)
	subs := make([]*Subscription, subscribers)
	for i := range subs {
		s := &Subscription{feed: f, filters: []string{filter(i)}, state: CatchingUp, incarnation: f.incarnation, wake: make(chan struct{}, 1)}
		f.subs.Add(s)
		s.readWindow(nextBytes)
		subs[i] = s
	}
	return f, subs
}

// BenchmarkMatch publishes an event for one user among many. Its cost must not depend on the number
// of users.
func BenchmarkMatch(b *testing.B) {
	for _, users := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			f, subs := benchFeed(users, func(i int) string { return fmt.Sprintf("notifications.user.%d", i) })
			data := make([]byte, 100)
			b.ReportAllocs()
			var seq uint64
			for b.Loop() {
				seq++
				to := int(seq*7919) % users
				f.publish(Event{Seq: seq, Subject: subs[to].filters[0], Data: data})
				subs[to].dequeuePending(nextBytes)
			}
		})
	}
}

// BenchmarkFanOut publishes a broadcast to many subscriptions and dequeues it: the cost of one delivery
// without the write.
func BenchmarkFanOut(b *testing.B) {
	const clients = 10_000
	f, subs := benchFeed(clients, func(int) string { return "notifications.broadcast" })
	data := make([]byte, 100)
	var seq uint64
	for b.Loop() {
		seq++
		f.publish(Event{Seq: seq, Subject: "notifications.broadcast", Data: data})
		for _, s := range subs {
			d, _ := s.dequeuePending(nextBytes)
			_ = d.Frames[0].Wire()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/clients, "ns/delivery")
}

// BenchmarkJoin resumes from the window: 10 missed events of one user, among 50,000 of other
// users.
func BenchmarkJoin(b *testing.B) {
	for _, others := range []int{0, 50_000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			f, _ := benchFeed(0, nil)
			for i := range 10 + others {
				subject := fmt.Sprintf("notifications.user.%d", 1+i%1000)
				if i*10/(10+others) != (i-1)*10/(10+others) || i == 0 {
					subject = "notifications.user.me"
				}
				f.publish(Event{Seq: uint64(i + 1), Subject: subject, Data: make([]byte, 100)})
			}
			b.ReportAllocs()
			for b.Loop() {
				s, err := f.Subscribe(context.Background(), SubscribeOptions{
					Filters: []string{"notifications.broadcast", "notifications.user.me"}, Start: Resume("0-k7f3q9"),
				})
				if err != nil {
					b.Fatal(err)
				}
				d, err := s.Next(context.Background())
				if err != nil || len(d.Frames) != 10 {
					b.Fatal(len(d.Frames), err)
				}
				s.Close()
			}
		})
	}
}

func BenchmarkFrameEncode(b *testing.B) {
	ev := Event{Seq: 1042, Subject: "notifications.user.42", Type: "greeting", Data: make([]byte, 200), Time: time.Now()}
	for i := range ev.Data {
		ev.Data[i] = 'x'
	}
	of := &incarnationFrames{epoch: "k7f3q9", limit: 1 << 20}
	b.ReportAllocs()
	for b.Loop() {
		_ = newFrame(of, ev).Wire()
	}
}
