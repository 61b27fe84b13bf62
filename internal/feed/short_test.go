package feed_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// shortLog is a replicated log whose leader is some looks behind its replicas.
type shortLog struct {
	*feedtest.MemStore
	behind atomic.Int64
}

func (l *shortLog) State(ctx context.Context) (feed.State, error) {
	s, err := l.MemStore.State(ctx)
	s.Replicated = true
	if l.behind.Add(-1) >= 0 {
		s.LastSeq--
	}
	return s, err
}

// A leader that is briefly late does not cause a future gap for a position that a replica has reached. A
// position that never existed still does.
func TestLeaderBehindItsReplicas(t *testing.T) {
	log := &shortLog{MemStore: feedtest.NewMemStore()}
	for range 3 {
		log.Publish("n.all", "", []byte("x"))
	}
	f := feed.New(log, feed.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	<-f.Ready()
	for id, want := range map[string]bool{"3": false, "4": true} {
		log.behind.Store(3)
		sub, err := f.Subscribe(ctx, feed.SubscribeOptions{Start: feed.Resume(id), ReplayFromStore: true})
		if err != nil {
			t.Fatal(err)
		}
		gap := sub.StartInfo().Gap
		if (gap != nil) != want || want && gap.Reason != feed.Future {
			t.Errorf("at %s: %+v", id, gap)
		}
		sub.Close()
	}
}
