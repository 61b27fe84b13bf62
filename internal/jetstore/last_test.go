package jetstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natstest"
)

// relay passes API requests on to JetStream, and loses the answers to some.
type relay struct {
	mu       sync.Mutex
	creates  []string // the names of the consumers that were requested
	unheard  int      // of how many creates the answers are lost
	counting int      // STREAM.INFO with a filter of subjects
}

const relayPrefix = "RELAY.API"

func (s *harness) relay(t *testing.T, unheard int) *relay {
	t.Helper()
	r := &relay{unheard: unheard}
	sub, err := s.Conn.Subscribe(relayPrefix+".>", func(msg *nats.Msg) {
		op := strings.TrimPrefix(msg.Subject, relayPrefix+".")
		reply := msg.Reply
		r.mu.Lock()
		defer r.mu.Unlock()
		if name, ok := strings.CutPrefix(op, "CONSUMER.CREATE."+natstest.StreamName+"."); ok {
			name, _, _ = strings.Cut(name, ".")
			r.creates = append(r.creates, name)
			if len(r.creates) <= r.unheard {
				reply = "lost"
			}
		}
		if strings.HasPrefix(op, "STREAM.INFO.") && strings.Contains(string(msg.Data), "subjects_filter") {
			r.counting++
		}
		if err := s.Conn.PublishMsg(&nats.Msg{Subject: "$JS.API." + op, Reply: reply, Data: msg.Data}); err != nil {
			s.T.Error(err)
		}
	})
	if err != nil {
		s.T.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return r
}

func (r *relay) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.creates)
}

// manySubjects stores an event on each of n subjects, more than feed.FewSubjects.
func (s *harness) manySubjects(n int) {
	s.T.Helper()
	for i := range n {
		if _, err := s.JS.PublishAsync(fmt.Sprintf("notifications.topic.u%d", i), nil); err != nil {
			s.T.Fatal(err)
		}
		if i%1000 == 999 || i == n-1 {
			<-s.JS.PublishAsyncComplete()
		}
	}
	if last := s.Stream().CachedInfo().State.LastSeq; last != uint64(n) {
		s.T.Fatalf("%d events are stored, want %d", last, n)
	}
}

// TestRead_CreateNotAnswered_RetriesUnderSameName: the server may still be making the consumer. A
// name that is not answered twice is given up, and its consumer deleted.
func TestRead_CreateNotAnswered_RetriesUnderSameName(t *testing.T) {
	testRetriesUnderSameName(t, newHarness(t), 100*time.Millisecond, 0, 1, 2, 3)
}

// TestRead_CreateNotAnsweredInCluster_RetriesUnderSameName: there, another server decides whether a
// consumer of that name is the same.
func TestRead_CreateNotAnsweredInCluster_RetriesUnderSameName(t *testing.T) {
	s, _, _ := newClusterHarness(t)
	testRetriesUnderSameName(t, s, time.Second, 1)
}

func testRetriesUnderSameName(t *testing.T, s *harness, timeout time.Duration, lost ...int) {
	const subjects = feed.FewSubjects + 500
	s.manySubjects(subjects)
	for name, opts := range map[string]feed.ReadOptions{
		"ordinary":               {From: 1, To: subjects},
		"last":                   {From: 1, To: subjects, LastPerSubject: true, Subjects: subjects, Filters: []string{"notifications.topic.>"}},
		"last, number not known": {From: 1, To: subjects, LastPerSubject: true},
	} {
		for _, unheard := range lost {
			t.Run(fmt.Sprintf("%s/%d lost", name, unheard), func(t *testing.T) {
				r := s.relay(t, unheard)
				l := s.open(jetstore.Options{APIPrefix: relayPrefix, RequestTimeout: timeout})
				if n := replay(t, l, s.Ctx(), opts); n != subjects {
					t.Errorf("%d events, want %d", n, subjects)
				}
				names := r.names()
				if distinct := slices.Compact(slices.Clone(names)); len(names) < unheard+1 || len(distinct) != 1+unheard/2 {
					t.Fatalf("requested %q with %d answers lost", names, unheard)
				}
				for i := 0; i+1 < unheard; i += 2 {
					if names[i] != names[i+1] {
						t.Errorf("a request that was not answered was repeated under another name: %q", names)
					}
				}
				if unheard == 1 && names[0] != names[1] {
					t.Errorf("the first repeat has another name: %q", names)
				}
				l.Close()
				s.Await("all consumers are deleted", func() bool { return len(s.Consumers("tidemark-replay")) == 0 })
			})
		}
	}
}

func TestCountSubjects_ManySubjects(t *testing.T) {
	s := newHarness(t)
	s.manySubjects(2000)
	s.Publish("notifications.user.1", nil, nil)
	s.Publish("notifications.user.2", nil, nil)
	r := s.relay(t, 0)
	scans := jetstore.NewScanQueue()
	l := s.open(jetstore.Options{APIPrefix: relayPrefix, Scans: scans})
	for _, c := range []struct {
		filters  []string
		limit    int
		min, max int
	}{
		{nil, 0, 2002, 2002},
		{[]string{">"}, 0, 2002, 2002},
		{[]string{"notifications.topic.>"}, 0, 2000, 2000},
		{[]string{"notifications.user.*"}, 10, 2, 2},
		{[]string{"notifications.user.*", "notifications.broadcast"}, 10, 3, 3},
		{[]string{"notifications.topic.>", "notifications.user.*"}, 5000, 2002, 2002},
		{[]string{"notifications.topic.>", "notifications.user.*"}, 10, 11, 1 << 30},
		{[]string{"other.>"}, 10, 0, 0},
	} {
		n, err := l.CountSubjects(s.Ctx(), c.filters, c.limit)
		if err != nil || n < c.min || n > c.max {
			t.Errorf("%q up to %d: %d, %v; want %d to %d", c.filters, c.limit, n, err, c.min, c.max)
		}
	}
	if r.counting == 0 {
		t.Error("the server never counted")
	}
	ctx, cancel := context.WithCancel(s.Ctx())
	cancel()
	if _, err := l.CountSubjects(ctx, []string{"notifications.topic.>"}, 0); err == nil {
		t.Error("it answers a caller that has left")
	}
}
