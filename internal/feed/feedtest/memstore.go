// Package feedtest holds an in-memory feed.Store, and the conformance suite that every store
// passes.
package feedtest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
)

// MemStore is a feed.Store in memory, with the faults of a real one.
// It is safe for concurrent use.
type MemStore struct {
	// ReadBatch is how many events a Reader returns at a time; 3 when zero.
	ReadBatch int

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	epochs  int
	epoch   string
	born    int64
	floors  []uint64 // the end after each loss of the end
	copy    feed.Copy
	events  []feed.Event
	last    uint64
	limits  Limits
	stored  time.Time // of the event that was stored last
	down    error
	readers int
	counted int

	lookedUp int // answers of Last

	chosen  string // the epoch of all incarnations; empty for one of its own each
	removed bool   // there is no stream
	failed  int    // how often the readers of that time failed
}

// NewMemStore returns an empty stream with the epoch "e1".
func NewMemStore() *MemStore {
	l := &MemStore{changed: make(chan struct{})}
	l.Recreate()
	return l
}

func (l *MemStore) update(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
}

// Limits configure the deletion of events by a MemStore. Zero values disable a limit.
type Limits struct {
	MaxPerSubject int
	MaxAge        time.Duration
	// Late is how long events stay that have expired by their own lifetime.
	Late time.Duration
}

// SetLimits applies limits to stored and to later events.
func (l *MemStore) SetLimits(limits Limits) { l.update(func() { l.limits = limits }) }

// Publish stores an event and returns its sequence.
func (l *MemStore) Publish(subject, typ string, data []byte) (seq uint64) {
	return l.PublishFor(0, subject, typ, data)
}

// PublishFor stores an event with a lifetime; zero for none.
func (l *MemStore) PublishFor(lifetime time.Duration, subject, typ string, data []byte) (seq uint64) {
	return l.store(lifetime, feed.Event{Subject: subject, Type: typ, Data: data})
}

// PublishEnd stores an event with [feed.Event].End: it completes its subject.
func (l *MemStore) PublishEnd(subject string, data []byte) (seq uint64) {
	return l.store(0, feed.Event{Subject: subject, Data: data, End: true})
}

func (l *MemStore) store(lifetime time.Duration, ev feed.Event) (seq uint64) {
	l.update(func() {
		l.last++
		seq = l.last
		stored := time.Now()
		if !stored.After(l.stored) {
			stored = l.stored.Add(1) // no two events are stored at one time, also where no time passes
		}
		l.stored = stored
		ev.Seq, ev.Time = seq, stored
		if lifetime > 0 {
			ev.Expires = ev.Time.Add(lifetime)
		}
		l.events = append(l.events, ev)
	})
	return seq
}

// enforceLocked deletes what the limits do not keep.
func (l *MemStore) enforceLocked() {
	kept := map[string]int{}
	now := time.Now()
	for i := len(l.events) - 1; i >= 0; i-- {
		ev := l.events[i]
		kept[ev.Subject]++
		crowded := l.limits.MaxPerSubject > 0 && kept[ev.Subject] > l.limits.MaxPerSubject
		old := l.limits.MaxAge > 0 && now.Sub(ev.Time) >= l.limits.MaxAge
		expired := !ev.Expires.IsZero() && !now.Before(ev.Expires.Add(l.limits.Late))
		if crowded || old || expired {
			l.events = slices.Delete(l.events, i, i+1)
		}
	}
}

// Trim deletes every event before first, as retention and purges do.
func (l *MemStore) Trim(first uint64) {
	l.update(func() {
		l.events = slices.DeleteFunc(l.events, func(ev feed.Event) bool { return ev.Seq < first })
	})
}

// Delete takes one event out of the stream. Its sequence is not given again.
func (l *MemStore) Delete(seq uint64) {
	l.update(func() {
		l.events = slices.DeleteFunc(l.events, func(ev feed.Event) bool { return ev.Seq == seq })
	})
}

// Recreate replaces the stream with an empty one of another epoch.
func (l *MemStore) Recreate() {
	l.update(func() {
		l.begin()
		l.events, l.last, l.removed = nil, 0, false
	})
}

// RecreateAlike replaces the stream with an empty one of the same epoch, like a stream with a
// configured epoch.
func (l *MemStore) RecreateAlike() {
	l.update(func() {
		l.events, l.last = nil, 0
		l.born++
	})
}

// SetCopy makes the stream a copy of another, or an original.
func (l *MemStore) SetCopy(c feed.Copy) { l.update(func() { l.copy = c }) }

// Rollback deletes every event after last, within the same epoch, as a restored disk does.
func (l *MemStore) Rollback(last uint64) {
	l.update(func() {
		l.last = last
		l.floors = append(l.floors, last)
		l.events = slices.DeleteFunc(l.events, func(ev feed.Event) bool { return ev.Seq > last })
	})
}

// SetDown puts the store out of reach until SetDown(nil).
func (l *MemStore) SetDown(why error) { l.update(func() { l.down = why }) }

// Down returns why the store is out of reach; nil while it is not.
func (l *MemStore) Down() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// OpenReaders counts the open Readers.
func (l *MemStore) OpenReaders() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readers
}

// reachStream is reach for a stream that must be there.
func (l *MemStore) reachStream(ctx context.Context) error {
	err := l.reach(ctx)
	if err == nil && l.removed {
		l.mu.Unlock()
		return feed.ErrNoStream
	}
	return err
}

// reach waits until the store can be reached, and returns holding the lock.
func (l *MemStore) reach(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.mu.Lock()
		if l.down == nil {
			l.enforceLocked()
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *MemStore) stateLocked() feed.State {
	s := feed.State{
		Epoch: l.epoch, FirstSeq: l.last + 1, LastSeq: l.last, Copy: l.copy,
		MaxPerSubject: l.limits.MaxPerSubject, MaxAge: l.limits.MaxAge, Lifetimes: true, Time: time.Now(),
	}
	if l.copy == feed.Original {
		s.Created = l.born
	}
	if n := len(l.events); n > 0 {
		s.FirstSeq = l.events[0].Seq
		s.Deleted = l.last - s.FirstSeq + 1 - uint64(n)
		if newest := l.events[n-1]; newest.Seq == l.last {
			s.LastTime = newest.Time
		}
	}
	return s
}

// State implements feed.Store.
func (l *MemStore) State(ctx context.Context) (feed.State, error) {
	if err := l.reachStream(ctx); err != nil {
		return feed.State{}, err
	}
	defer l.mu.Unlock()
	return l.stateLocked(), nil
}

// SeqAt implements feed.Store.
func (l *MemStore) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	if err := l.reachStream(ctx); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	for _, ev := range l.events {
		if !ev.Time.Before(t) {
			return ev.Seq, nil
		}
	}
	return l.last + 1, nil
}

// HasDeleted implements feed.Store.
func (l *MemStore) HasDeleted(ctx context.Context, from, to uint64) (bool, error) {
	if err := l.reachStream(ctx); err != nil {
		return false, err
	}
	defer l.mu.Unlock()
	to = min(to, l.last)
	held := 0
	for _, ev := range l.events {
		if ev.Seq >= from && ev.Seq <= to {
			held++
		}
	}
	return to >= from && uint64(held) != to-from+1, nil
}

// CountSubjects implements feed.Store.
func (l *MemStore) CountSubjects(ctx context.Context, filters []string, _ int) (int, error) {
	if err := l.reach(ctx); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	l.counted++
	subjects := map[string]bool{}
	for _, ev := range l.events {
		if len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return subject.Matches(f, ev.Subject) }) {
			subjects[ev.Subject] = true
		}
	}
	return len(subjects), nil
}

// Counted is how often CountSubjects was answered.
func (l *MemStore) Counted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counted
}

// Last implements feed.Store.
func (l *MemStore) Last(ctx context.Context, subject string) (ev feed.Event, found bool, err error) {
	if err := l.reachStream(ctx); err != nil {
		return ev, false, err
	}
	defer l.mu.Unlock()
	l.lookedUp++
	for _, ev := range slices.Backward(l.events) {
		if ev.Subject == subject {
			return ev, true, nil
		}
	}
	return ev, false, nil
}

// LookedUp is how often Last was answered.
func (l *MemStore) LookedUp() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lookedUp
}

// Count implements feed.Store.
func (l *MemStore) Count(ctx context.Context, from uint64) (n uint64, err error) {
	if err := l.reach(ctx); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	for _, ev := range l.events {
		if ev.Seq >= from {
			n++
		}
	}
	return n, nil
}
