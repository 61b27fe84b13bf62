package publish_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/publish"
)

// A replicated stream answers err_code 10158 to a message whose id it is storing at that moment.
func TestPublish_SameIDAtOnce_IsStoredOnce(t *testing.T) {
	s, _, opts := natstest.NewCluster(t)
	p := newPublisher(t, opts, publish.Options{})
	const rounds = 100
	for i := range rounds {
		id := fmt.Sprint("id-", i)
		msg := feed.Message{Subject: "notifications.a", ID: id, Data: []byte("x")}
		var mu sync.Mutex
		var results []feed.Result
		var publishing sync.WaitGroup
		for range 2 {
			publishing.Go(func() {
				got := p.Publish(s.Ctx(), msg, msg) // and the same id within one call
				mu.Lock()
				defer mu.Unlock()
				results = append(results, got...)
			})
		}
		publishing.Wait()
		stored := 0
		for _, r := range results {
			if r.Err != nil || r.Ack.Position != results[0].Ack.Position {
				t.Fatalf("%s: %+v", id, results)
			}
			if !r.Ack.Duplicate {
				stored++
			}
		}
		if stored != 1 {
			t.Fatalf("%s was stored %d times: %+v", id, stored, results)
		}
	}
	if info, err := s.Stream().Info(s.Ctx()); err != nil || info.State.Msgs != rounds {
		t.Errorf("stored: %+v, %v", info, err)
	}
	if status := p.Status(); status.Stored != rounds || status.Duplicates != 3*rounds || status.Failed != 0 {
		t.Errorf("counted: %+v", status)
	}
}

func newPublisher(t *testing.T, nats natsconn.Options, opts publish.Options) *publish.Publisher {
	t.Helper()
	p, err := publish.New(natstest.Connect(t, nats), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// A leader that has lost the other replicas has proposed the first message, and cannot finish.
func TestPublish_SameIDNeverFinishes_OutcomeIsUnknown(t *testing.T) {
	s, servers, _ := natstest.NewCluster(t)
	leader := s.Stream().CachedInfo().Cluster.Leader
	var url string
	for _, srv := range servers {
		if srv.Name() == leader {
			url = srv.ClientURL()
		}
	}
	p := newPublisher(t, natsconn.Options{URL: url}, publish.Options{AckTimeout: 300 * time.Millisecond})
	shutdownAllBut(servers, leader)
	msg := feed.Message{Subject: "notifications.a", ID: "once", Data: []byte("x")}
	first := p.Publish(s.Ctx(), msg)[0].Err
	if !errors.Is(first, feed.ErrUnavailable) || errors.Is(first, feed.ErrNotStored) {
		t.Fatalf("first: %v", first)
	}
	again := p.Publish(s.Ctx(), msg)[0].Err
	if !errors.Is(again, feed.ErrUnavailable) || errors.Is(again, feed.ErrNotStored) || !strings.Contains(fmt.Sprint(again), "same id is being stored") {
		t.Errorf("again: %v", again)
	}
}

func shutdownAllBut(servers []*server.Server, name string) {
	for _, srv := range servers {
		if srv.Name() != name {
			srv.Shutdown()
		}
	}
}
