package jetstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// clusterStand is a stand on three servers, with a stream on all of them.
func clusterStand(t *testing.T) (*stand, []*server.Server, jetstore.ConnectOptions) {
	t.Helper()
	servers, urls := cluster(t)
	opts := jetstore.ConnectOptions{URL: urls}
	s := &stand{t: t, nc: connectTo(t, opts)}
	var err error
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.StreamConfig{Name: streamName, Subjects: []string{"notifications.>"}, Replicas: 3}
	s.await("the cluster takes streams", func() bool {
		ctx, cancel := context.WithTimeout(s.ctx(), 500*time.Millisecond) // a cluster without a leader is silent
		defer cancel()
		_, err := s.js.CreateStream(ctx, cfg)
		return err == nil
	})
	s.await("the replicas are current", func() bool { return current(s.stream().CachedInfo().Cluster) })
	return s, servers, opts
}

func current(info *jetstream.ClusterInfo) bool {
	if info == nil || info.Leader == "" || len(info.Replicas) != 2 {
		return false
	}
	return info.Replicas[0].Current && info.Replicas[1].Current
}

// A consumer with one replica sits on any of the three servers, also on one that lags; with
// the leader's word, a replay to the last acknowledged sequence is complete nevertheless.
func TestClusterReplayIsComplete(t *testing.T) {
	s, _, opts := clusterStand(t)
	l := s.open(jetstore.Options{})
	p, err := jetstore.NewPublisher(connectTo(t, opts), jetstore.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 50 {
		last := p.Publish(s.ctx(), make100()...)[99]
		if last.Err != nil {
			t.Fatal(last.Err)
		}
		to := last.Ack.Position.Seq
		if got, _ := s.read(l, feed.ReadOptions{From: to - 99, To: to, Filters: []string{"notifications.n"}}); len(got) != 100 {
			t.Fatalf("to %d: %d events", to, len(got))
		}
	}
}

func TestClusterConsumerHostDies(t *testing.T) {
	s, servers, opts := clusterStand(t)
	const total = 2000
	l := s.open(jetstore.Options{})
	p, err := jetstore.NewPublisher(connectTo(t, opts), jetstore.PublisherOptions{})
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
	c.follow(s.ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, total, func(n int) {
		if n == total/4 {
			s.killHost(servers)
		}
	})
}

// killHost shuts the server down that the tail's consumer sits on.
func (s *stand) killHost(servers []*server.Server) {
	s.t.Helper()
	for _, name := range s.consumers("tidemark-tail-") {
		consumer, err := s.js.Consumer(s.ctx(), streamName, name)
		if err != nil {
			s.t.Error(err)
			return
		}
		for _, srv := range servers {
			if srv.Name() == consumer.CachedInfo().Cluster.Leader {
				srv.Shutdown()
			}
		}
	}
}
