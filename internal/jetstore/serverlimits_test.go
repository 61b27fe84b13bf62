package jetstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// bareStand is a stand on a server with options that the embedded one does not offer.
func bareStand(t *testing.T, cfg jetstream.StreamConfig, change func(*server.Options)) (*stand, *server.Server) {
	t.Helper()
	srv := bareServer(t, func(o *server.Options) { o.JetStream = true; change(o) })
	s := &stand{t: t, nc: connectTo(t, jetstore.ConnectOptions{URL: srv.ClientURL(), User: "admin", Password: "x"})}
	var err error
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	s.createStream(cfg)
	return s, srv
}

func TestPull_ServerLimitsBatch_DeliversEverything(t *testing.T) {
	for _, limit := range []int{1, 7, 500} {
		s, _ := bareStand(t, jetstream.StreamConfig{}, func(o *server.Options) { o.JetStreamLimits.MaxRequestBatch = limit })
		const total = 600
		s.publishMany(total, "notifications.a")
		l := s.open(jetstore.Options{})
		c := counter{t: t}
		c.follow(s.ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, total-1, func(int) {})
		if got, _ := s.read(l, feed.ReadOptions{From: 1, To: total}); len(got) != total {
			t.Errorf("limit %d: read %d events", limit, len(got))
		}
		if status := l.Status(); status.PullRefusals != 0 || status.TailRestarts != 0 {
			t.Errorf("limit %d: %+v", limit, status)
		}
	}
}

// The consumer gets lower limits while it is in use: the server refuses the next request.
func TestPull_ConsumerLimitsBecomeLower_RequestsLess(t *testing.T) {
	for name, lower := range map[string]func(*jetstream.ConsumerConfig){
		"batch":   func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch = 3 },
		"bytes":   func(c *jetstream.ConsumerConfig) { c.MaxRequestMaxBytes = 200 },
		"expires": func(c *jetstream.ConsumerConfig) { c.MaxRequestExpires = time.Second },
		"all": func(c *jetstream.ConsumerConfig) {
			c.MaxRequestBatch, c.MaxRequestMaxBytes, c.MaxRequestExpires = 2, 300, 2*time.Second
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			const total = 100
			s.publishMany(total, "notifications.a")
			l := s.open(jetstore.Options{FollowBatch: 10})
			c := counter{t: t}
			c.follow(s.ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, total-1, func(n int) {
				if n == 15 {
					s.changeConsumer("tidemark-tail-", lower)
				}
			})
			if status := l.Status(); status.PullRefusals == 0 || status.TailRestarts != 0 {
				t.Errorf("%+v", status)
			}
		})
	}
}

func (s *stand) changeConsumer(prefix string, change func(*jetstream.ConsumerConfig)) {
	s.t.Helper()
	for _, name := range s.consumers(prefix) {
		consumer, err := s.js.Consumer(s.ctx(), streamName, name)
		if err != nil {
			s.t.Fatal(err)
		}
		cfg := consumer.CachedInfo().Config
		change(&cfg)
		if _, err := s.js.UpdateConsumer(s.ctx(), streamName, cfg); err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestPull_StreamLimitsConsumers_StaysWithin(t *testing.T) {
	for name, limits := range map[string]jetstream.StreamConsumerLimits{
		"inactive threshold": {InactiveThreshold: 10 * time.Second},
		"acks":               {MaxAckPending: 5},
		"both":               {InactiveThreshold: time.Second, MaxAckPending: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.reset(jetstream.StreamConfig{ConsumerLimits: limits})
			const total = 50
			s.publishMany(total, "notifications.a")
			l := s.open(jetstore.Options{})
			if got, _ := s.read(l, feed.ReadOptions{From: 1, To: total}); len(got) != total {
				t.Errorf("read %d events", len(got))
			}
			c := counter{t: t}
			c.follow(s.ctx(), l, feed.FollowOptions{From: 1}, total-1, func(int) {})
			if status := l.Status(); status.CreateFailures[jetstore.CreateRefused] > 1 {
				t.Errorf("%+v", status)
			}
		})
	}
}

func TestPull_StreamLimitsChange_NextConsumerStaysWithin(t *testing.T) {
	s := newStand(t)
	s.publishMany(1, "notifications.a")
	l := s.open(jetstore.Options{})
	for _, limit := range []time.Duration{20 * time.Second, 5 * time.Second, time.Minute} {
		cfg := s.stream().CachedInfo().Config
		cfg.ConsumerLimits.InactiveThreshold = limit
		if _, err := s.js.UpdateStream(s.ctx(), cfg); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.read(l, feed.ReadOptions{From: 1, To: 1}); len(got) != 1 {
			t.Errorf("limit %v: read %d events", limit, len(got))
		}
		r, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range s.consumers("tidemark-replay-") {
			consumer, err := s.js.Consumer(s.ctx(), streamName, name)
			if err != nil {
				continue // one that is being deleted
			}
			if got := consumer.CachedInfo().Config.InactiveThreshold; got != min(limit, 30*time.Second) {
				t.Errorf("limit %v: the consumer has %v", limit, got)
			}
		}
		r.Close()
	}
}

// Consumers can be created, but none delivers. Contact must not be reported with each.
func TestFollow_ConsumersNeverDeliver_ReportsOutage(t *testing.T) {
	deny := &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.MSG.NEXT.>"}}}
	s, srv := bareStand(t, jetstream.StreamConfig{}, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "x"}, {Username: "reader", Password: "x", Permissions: deny}}
	})
	reader := connectTo(t, jetstore.ConnectOptions{URL: srv.ClientURL(), User: "reader", Password: "x"})
	l := s.openOn(reader, jetstore.Options{Heartbeat: 20 * time.Millisecond})
	s.expectOutage(l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, func(err error) bool { return strings.Contains(err.Error(), "heartbeat") })
}

// expectOutage follows until Contact reports a loss that is wanted, and requires that contact is
// not reported again in the next ten attempts.
func (s *stand) expectOutage(l *jetstore.Store, opts feed.FollowOptions, wanted func(error) bool) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx())
	defer cancel()
	after := 0
	opts.Contact = func(err error) {
		switch {
		case err != nil && wanted(err):
			if after++; after == 10 {
				cancel()
			}
		case after > 0:
			s.t.Errorf("after the outage was reported: %v", err)
			cancel()
		}
	}
	for ev, err := range l.Follow(ctx, opts) {
		s.t.Fatalf("%+v, %v", ev, err)
	}
	if after < 10 {
		s.t.Fatal("no outage was reported")
	}
}

func TestFollow_EveryConsumerIsDeleted_ReportsOutageUntilOneDelivers(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	enough := make(chan struct{})
	sub, err := s.nc.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.CREATED."+streamName+".*", func(msg *nats.Msg) {
		select {
		case <-enough:
		default:
			name := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
			_ = s.js.DeleteConsumer(context.Background(), streamName, name)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.ctx())
	defer cancel()
	lost := false
	opts := feed.FollowOptions{From: 1, Epoch: s.epoch(l), Contact: func(err error) {
		switch {
		case err != nil && !lost:
			lost = true
			close(enough)
		case err == nil && lost:
			cancel()
		}
	}}
	for ev, err := range l.Follow(ctx, opts) {
		t.Fatalf("%+v, %v", ev, err)
	}
	if !lost {
		t.Error("no outage was reported")
	}
}
