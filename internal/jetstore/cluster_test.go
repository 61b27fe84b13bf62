package jetstore_test

import (
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/publish"
)

// A consumer with one replica sits on any of the three servers, also on a server that lags. Because the
// leader is consulted, a replay to the last acknowledged sequence is complete.
func TestRead_Cluster_IsComplete(t *testing.T) {
	s, _, opts := newClusterHarness(t)
	l := s.open(jetstore.Options{})
	p, err := publish.New(natstest.Connect(t, opts), publish.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 50 {
		last := p.Publish(s.Ctx(), make100()...)[99]
		if last.Err != nil {
			t.Fatal(last.Err)
		}
		to := last.Ack.Position.Seq
		if got, _ := s.read(l, feed.ReadOptions{From: to - 99, To: to, Filters: []string{"notifications.n"}}); len(got) != 100 {
			t.Fatalf("to %d: %d events", to, len(got))
		}
	}
}

func TestFollow_ConsumerHostStops_Continues(t *testing.T) {
	s, servers, opts := newClusterHarness(t)
	const total = 2000
	l := s.open(jetstore.Options{})
	p, err := publish.New(natstest.Connect(t, opts), publish.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var publishing sync.WaitGroup
	publishing.Go(func() {
		if err := s.numbered(p, 1, total); err != nil {
			t.Error(err)
		}
	})
	defer publishing.Wait()
	c := counter{t: t, next: 1}
	c.follow(s.Ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, total, func(n int) {
		if n == total/4 {
			s.killHost(servers)
		}
	})
}

// killHost shuts the server down that the tail's consumer sits on.
func (s *harness) killHost(servers []*server.Server) {
	s.T.Helper()
	for _, name := range s.Consumers("tidemark-tail-") {
		consumer, err := s.JS.Consumer(s.Ctx(), natstest.StreamName, name)
		if err != nil {
			s.T.Error(err)
			return
		}
		for _, srv := range servers {
			if srv.Name() == consumer.CachedInfo().Cluster.Leader {
				srv.Shutdown()
			}
		}
	}
}
