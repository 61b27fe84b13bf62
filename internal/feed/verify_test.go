package feed_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// shortStore is a replicated store whose leader is behind its replicas for some requests.
type shortStore struct {
	*feedtest.MemStore
	behind atomic.Int64
}

func (l *shortStore) State(ctx context.Context) (feed.State, error) {
	s, err := l.MemStore.State(ctx)
	s.Replicated = true
	if l.behind.Add(-1) >= 0 {
		s.LastSeq--
	}
	return s, err
}

// A leader that is briefly late does not cause a future gap for a position that a replica has reached. A
// position that never existed still does.
func TestResume_LeaderBehindItsReplicas_SendsNoFutureGap(t *testing.T) {
	store := &shortStore{MemStore: feedtest.NewMemStore()}
	for range 3 {
		store.Publish("n.all", "", []byte("x"))
	}
	f := feed.New(store, feed.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	<-f.Ready()
	for id, want := range map[string]bool{"3": false, "4": true} {
		store.behind.Store(3)
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
