package model

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// gates hold calls of a store, before they are made and before their answer is returned, until
// the history releases one of them. Anything may happen in between.
type gates struct {
	mu      sync.Mutex
	open    bool
	waiting []gate
}

type gate struct {
	name string
	pass chan struct{}
}

func (g *gates) wait(ctx context.Context, name string) {
	g.mu.Lock()
	if g.open {
		g.mu.Unlock()
		return
	}
	mine := gate{name, make(chan struct{})}
	g.waiting = append(g.waiting, mine)
	g.mu.Unlock()
	select {
	case <-mine.pass:
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waiting = slices.DeleteFunc(g.waiting, func(other gate) bool { return other == mine })
	}
}

// release releases one of the waiting calls, and returns its name; empty for none.
func (g *gates) release(pick int) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return ""
	}
	i := pick % len(g.waiting)
	released := g.waiting[i]
	close(released.pass)
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return released.name
}

func (g *gates) openAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	for _, w := range g.waiting {
		close(w.pass)
	}
	g.waiting = nil
}

// gatedStore is a store whose calls pass gates. All other methods pass freely.
type gatedStore struct {
	feed.Store
	gates *gates
	// followed is the last event that the present Follow has yielded. The
	// store cannot compare earlier events with the stored ones.
	followed atomic.Uint64
}

func (l *gatedStore) State(ctx context.Context) (feed.State, error) {
	l.gates.wait(ctx, "state")
	state, err := l.Store.State(ctx)
	l.gates.wait(ctx, "state answer")
	return state, err
}

func (l *gatedStore) HasDeleted(ctx context.Context, from, to uint64) (bool, error) {
	l.gates.wait(ctx, "deletions")
	deleted, err := l.Store.HasDeleted(ctx, from, to)
	l.gates.wait(ctx, "deletions answer")
	return deleted, err
}

func (l *gatedStore) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	l.gates.wait(ctx, "sequence at a time")
	seq, err := l.Store.SeqAt(ctx, t)
	l.gates.wait(ctx, "sequence at a time answer")
	return seq, err
}

func (l *gatedStore) Last(ctx context.Context, subject string) (feed.Event, bool, error) {
	l.gates.wait(ctx, "last")
	ev, found, err := l.Store.Last(ctx, subject)
	l.gates.wait(ctx, "last answer")
	return ev, found, err
}

func (l *gatedStore) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	l.gates.wait(ctx, "read")
	r, err := l.Store.Read(ctx, opts)
	l.gates.wait(ctx, "read answer")
	if err != nil {
		return nil, err
	}
	return &gatedReader{r, l.gates}, nil
}

func (l *gatedStore) Follow(ctx context.Context, opts feed.FollowOptions) iter.Seq2[feed.Event, error] {
	return func(yield func(feed.Event, error) bool) {
		l.followed.Store(0)
		for ev, err := range l.Store.Follow(ctx, opts) {
			if next := l.followed.Load() + 1; err != nil || ev.Deleted || next > 1 && ev.Seq != next {
				l.followed.Store(0) // the feed is about to follow from somewhere else
			}
			l.gates.wait(ctx, "tail")
			if err == nil && !ev.Deleted {
				l.followed.Store(ev.Seq)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

type gatedReader struct {
	feed.Reader
	gates *gates
}

func (r *gatedReader) Next(ctx context.Context) (feed.Batch, error) {
	r.gates.wait(ctx, "next")
	batch, err := r.Reader.Next(ctx)
	r.gates.wait(ctx, "next answer")
	return batch, err
}
