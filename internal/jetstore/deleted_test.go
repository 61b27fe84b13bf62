package jetstore_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// runReady starts a feed, and returns it once it is ready.
func (s *harness) runReady(l *jetstore.Store, opts feed.Options) *feed.Feed {
	s.T.Helper()
	f := s.run(l, opts)
	select {
	case <-f.Ready():
	case <-s.Ctx().Done():
		s.T.Fatal("the feed was never ready")
	}
	return f
}

// resume returns the gaps (by reason) and the events (by sequence), up to the last one, that a client
// receives which has everything up to a sequence.
func (s *harness) resume(f *feed.Feed, after, last uint64, filters ...string) (got []string) {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(s.Ctx(), 30*time.Second)
	defer cancel()
	sub, err := f.Subscribe(ctx, feed.SubscribeOptions{Filters: filters, Start: feed.Resume(fmt.Sprint(after, "-", f.Status().Epoch))})
	if err != nil {
		s.T.Fatal(err)
	}
	defer sub.Close()
	if g := sub.StartInfo().Gap; g != nil {
		got = append(got, string(g.Reason))
	}
	for {
		d, behind, err := sub.Poll(1 << 20)
		switch {
		case behind:
			d, err = sub.Fetch(ctx)
		case err == nil && d.Empty() && sub.Position().Seq >= last:
			return got
		case err == nil && d.Empty():
			d, err = sub.Next(ctx)
		}
		if err != nil {
			s.T.Fatalf("after %v: %v", got, err)
		}
		if d.Gap != nil {
			got = append(got, string(d.Gap.Reason))
		}
		for _, frame := range d.Frames {
			got = append(got, strconv.FormatUint(frame.Seq, 10))
		}
	}
}

// deletion is one way in which a stream loses an event.
type deletion struct {
	name   string
	config jetstream.StreamConfig
	first  nats.Header // of event 3, which is lost
	lose   func(s *harness)
	want   string // by a client that had nothing
}

var deletions = []deletion{
	{name: "one message", lose: func(s *harness) { s.DeleteMsg(3) }, want: "possible 1 2 4 5 6"},
	{name: "newest message", lose: func(s *harness) { s.DeleteMsg(6); s.DeleteMsg(3) }, want: "possible 1 2 4 5"},
	{name: "purge of a subject", lose: func(s *harness) {
		if err := s.Stream().Purge(s.Ctx(), jetstream.WithPurgeSubject("notifications.secret")); err != nil {
			s.T.Fatal(err)
		}
	}, want: "possible 1 2 4 5 6"},
	{name: "purge up to a sequence", lose: func(s *harness) { s.Purge(4) }, want: "trimmed 4 5 6"},
	{name: "purge of everything", lose: func(s *harness) { s.Purge(7) }, want: "trimmed"},
	{
		name: "Nats-TTL", config: jetstream.StreamConfig{AllowMsgTTL: true}, first: nats.Header{"Nats-TTL": {"2s"}},
		lose: func(*harness) {}, want: "possible 1 2 4 5 6",
	},
	{
		name: "rollup of a subject", config: jetstream.StreamConfig{AllowRollup: true},
		lose: func(s *harness) {
			s.Publish("notifications.secret", nil, nats.Header{"Nats-Rollup": {"sub"}})
		}, want: "possible 1 2 4 5 6 7",
	},
	{
		name: "max_msgs_per_subject 1", config: jetstream.StreamConfig{MaxMsgsPerSubject: 1},
		lose: func(s *harness) { s.Publish("notifications.secret", nil, nil) }, want: "possible 1 2 4 5 6 7",
	},
	{
		name: "max_msgs_per_subject 2", config: jetstream.StreamConfig{MaxMsgsPerSubject: 2},
		lose: func(s *harness) {
			s.Publish("notifications.secret", nil, nil)
			s.Publish("notifications.secret", nil, nil)
		}, want: "possible 1 2 4 5 6 7 8",
	},
	{name: "max_msgs", config: jetstream.StreamConfig{MaxMsgs: 6}, lose: func(s *harness) {
		for range 3 {
			s.Publish("notifications.other", nil, nil)
		}
	}, want: "trimmed 4 5 6 7 8 9"},
}

// publishSecret stores six events of which the third is on a subject of its own.
func (s *harness) publishSecret(header nats.Header) {
	s.T.Helper()
	for i := range 6 {
		if i == 2 {
			s.Publish("notifications.secret", []byte("secret"), header)
			continue
		}
		s.Publish(fmt.Sprint("notifications.n.", i), nil, nil)
	}
}

// Each way in which a stream loses an event takes it from the window of a node that has read it.
func TestWindow_EventDeleted_IsNotDelivered(t *testing.T) {
	for _, c := range deletions {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newHarness(t)
			s.Reset(c.config)
			l := s.open(jetstore.Options{})
			f := s.runReady(l, feed.Options{})
			s.publishSecret(c.first)
			s.Await("the tail has read all", func() bool { return f.Status().High >= 6 })
			if got := s.resume(f, 0, 6); c.first == nil && !slices.Contains(got, "3") {
				t.Fatalf("before the deletion: %v", got)
			}
			c.lose(s)
			last := s.state(l).LastSeq
			s.Await("a client that resumes does not receive the event", func() bool {
				return strings.Join(s.resume(f, 0, last), " ") == c.want
			})
			if st := f.Status(); st.FromStore > 1 && c.want[0] != 't' {
				t.Errorf("%d resumes took the log", st.FromStore)
			}
		})
	}
}

// The same where the window does not reach back to the start of a stream that has deletions there.
func TestWindow_EventDeletedInLongStream_IsNotDelivered(t *testing.T) {
	for _, c := range deletions {
		if strings.HasPrefix(c.want, "trimmed") {
			continue // nothing is left below the window
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newHarness(t)
			s.Reset(c.config)
			l := s.open(jetstore.Options{})
			for i := range 20 {
				s.Publish(fmt.Sprint("notifications.old.", i), nil, nil)
			}
			s.DeleteMsg(5)
			s.DeleteMsg(11)
			f := s.runReady(l, feed.Options{WindowEvents: 8, NoPreload: true})
			for i := range 6 {
				if i == 2 {
					s.Publish("notifications.secret", []byte("secret"), c.first)
					continue
				}
				s.Publish(fmt.Sprint("notifications.n.", i), nil, nil)
			}
			s.Await("the tail has read all", func() bool { return f.Status().High == 26 })
			switch {
			case strings.HasPrefix(c.name, "max"), strings.HasPrefix(c.name, "rollup"), c.first != nil:
				c.lose(s)
			case strings.HasPrefix(c.name, "purge"):
				c.lose(s)
			default:
				s.DeleteMsg(23)
			}
			last := s.state(l).LastSeq
			s.Await("a client that resumes does not receive the event", func() bool {
				got := s.resume(f, 20, last)
				return len(got) > 0 && got[0] == "possible" && !slices.Contains(got, "23")
			})
			got := s.resume(f, 20, last, "notifications.n.>")
			if len(got) == 0 || got[0] != "21" {
				t.Errorf("a client of other subjects received %v", got)
			}
		})
	}
}

// A lifetime ends at the window no later than at the stream: the window does not wait for the next
// comparison.
func TestWindow_LifetimeOver_IsNotDelivered(t *testing.T) {
	s := newHarness(t)
	s.Reset(jetstream.StreamConfig{AllowMsgTTL: true})
	l := s.open(jetstore.Options{})
	f := s.runReady(l, feed.Options{})
	seq := s.Publish("notifications.code", []byte("1234"), nats.Header{"Nats-TTL": {"1s"}})
	s.Await("the tail has read it", func() bool { return f.Status().High >= seq })
	stream := s.Stream()
	s.Await("the server has deleted it", func() bool {
		_, err := stream.GetMsg(s.Ctx(), seq)
		return err != nil
	})
	if got := s.resume(f, 0, seq); len(got) != 1 || got[0] != "possible" && got[0] != "trimmed" {
		t.Errorf("received %v", got)
	}
}

// Events that are as old as the stream keeps them leave the window.
func TestWindow_MaxAgeOver_IsNotDelivered(t *testing.T) {
	s := newHarness(t)
	s.Reset(jetstream.StreamConfig{MaxAge: 2 * time.Second, Duplicates: time.Second})
	l := s.open(jetstore.Options{})
	f := s.runReady(l, feed.Options{})
	s.PublishMany(5, "notifications.a")
	s.Await("the tail has read them", func() bool { return f.Status().High == 5 })
	live, err := f.Subscribe(s.Ctx(), feed.SubscribeOptions{Start: feed.Resume("0-" + f.Status().Epoch)})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	s.Await("the window is empty", func() bool { return f.Status().Events == 0 })
	if n := f.Status().Removed[feed.RemovedExpired] + f.Status().Removed[feed.RemovedTrimmed]; n != 5 {
		t.Errorf("removed: %v", f.Status().Removed)
	}
	s.Await("the stream is empty", func() bool { return s.state(l).FirstSeq == 6 })
	s.Await("a client is told", func() bool { return slices.Equal(s.resume(f, 0, 5), []string{"trimmed"}) })
}

// Events that wait for a live client that does not read are not sent after they were deleted.
func TestSubscription_PendingEventDeleted_SendsGap(t *testing.T) {
	s := newHarness(t)
	l := s.open(jetstore.Options{})
	f := s.runReady(l, feed.Options{})
	sub, err := f.Subscribe(s.Ctx(), feed.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if d, behind, err := sub.Poll(1); !d.Empty() || behind || err != nil {
		t.Fatal(d, behind, err) // it is live
	}
	s.PublishMany(5, "notifications.a")
	s.Await("they wait", func() bool { since, _ := sub.PendingSince(); return since != 0 && f.Status().High == 5 })
	s.DeleteMsg(2)
	s.DeleteMsg(3)
	s.Await("the window follows", func() bool { return f.Status().Removed[feed.RemovedDeleted] == 2 })
	var got []string
	for len(got) < 4 {
		d, err := sub.Next(s.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		if d.Gap != nil {
			got = append(got, string(d.Gap.Reason))
		}
		for _, frame := range d.Frames {
			got = append(got, strconv.FormatUint(frame.Seq, 10))
		}
	}
	if want := []string{"possible", "1", "4", "5"}; !slices.Equal(got, want) {
		t.Errorf("received %v, want %v", got, want)
	}
}

// A stream that replaces its events faster than the tail reads them costs neither consumers nor a gap
// for each.
func TestFeed_KeyValueStream_KeepsConsumerAndWindow(t *testing.T) {
	s := newHarness(t)
	s.Reset(jetstream.StreamConfig{MaxMsgsPerSubject: 1, Storage: jetstream.MemoryStorage})
	for i := range 100 {
		s.Publish(fmt.Sprint("notifications.k.", i), nil, nil)
	}
	l := s.open(jetstore.Options{})
	f := s.runReady(l, feed.Options{})
	quiet, err := f.Subscribe(s.Ctx(), feed.SubscribeOptions{Filters: []string{"notifications.quiet"}})
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	gaps, rounds := 0, time.Now()
	for len(f.Status().Losses) > 0 && f.Status().Losses[feed.Possible] < 500 {
		for range 20 {
			if _, err := s.JS.PublishAsync("notifications.k.7", nil); err != nil {
				t.Fatal(err)
			}
		}
		<-s.JS.PublishAsyncComplete()
		d, _, err := quiet.Poll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if d.Gap != nil {
			gaps++
		}
	}
	if most := int(time.Since(rounds)/time.Second) + 2; gaps > most {
		t.Errorf("%d gaps in %v", gaps, time.Since(rounds))
	}
	if status := l.Status(); status.Creates != 1 || status.TailRestarts != 0 {
		t.Errorf("the tail made %d consumers, and replaced %d", status.Creates, status.TailRestarts)
	}
	last := s.state(l).LastSeq
	s.Await("the tail has read all", func() bool { return f.Status().High >= last })
	if got := s.resume(f, last-1, last, "notifications.k.7"); !slices.Equal(got, []string{fmt.Sprint(last)}) {
		t.Errorf("a client that lacks the last event received %v", got)
	}
	if st := f.Status(); st.FromStore != 0 || st.Events < 100 {
		t.Errorf("the window holds %d events, and %d resumes took the log", st.Events, st.FromStore)
	}
}

// A stream that was deleted takes its events along.
func TestWindow_StreamDeleted_IsEmpty(t *testing.T) {
	s := newHarness(t)
	l := s.open(jetstore.Options{})
	f := s.runReady(l, feed.Options{})
	s.PublishMany(5, "notifications.a")
	s.Await("the tail has read them", func() bool { return f.Status().Events == 5 })
	s.DeleteStream()
	s.Await("the window is empty", func() bool { return f.Status().Events == 0 })
}
