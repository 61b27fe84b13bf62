// Package feedtest holds an in-memory feed.Log, and the conformance suite that every Log
// passes.
package feedtest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/tidemark/tidemark/pkg/feed"
)

// MemLog is a feed.Log in memory that can lose, forget and refuse things as a real one does.
// It is safe for concurrent use.
type MemLog struct {
	// ReadBatch is how many events a Reader returns at a time; 3 when zero.
	ReadBatch int

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	epochs  int
	epoch   string
	born    int64
	floors  []uint64 // what was left at each loss of the end
	copy    feed.Copy
	events  []feed.Event
	last    uint64
	stored  time.Time // of the event that was stored last
	down    error
	readers int
}

// NewMemLog returns an empty stream with the epoch "e1".
func NewMemLog() *MemLog {
	l := &MemLog{changed: make(chan struct{})}
	l.Recreate()
	return l
}

func (l *MemLog) update(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
}

// Publish stores an event and returns its sequence.
func (l *MemLog) Publish(subject, typ string, data []byte) (seq uint64) {
	l.update(func() {
		l.last++
		seq = l.last
		stored := time.Now()
		if !stored.After(l.stored) {
			stored = l.stored.Add(1) // no two events are stored at one time, also where no time passes
		}
		l.stored = stored
		l.events = append(l.events, feed.Event{Seq: seq, Subject: subject, Type: typ, Data: data, Time: stored})
	})
	return seq
}

// Trim forgets every event before first, as retention and purges do.
func (l *MemLog) Trim(first uint64) {
	l.update(func() {
		l.events = slices.DeleteFunc(l.events, func(ev feed.Event) bool { return ev.Seq < first })
	})
}

// Delete takes one event out of the stream. Its sequence is not given again.
func (l *MemLog) Delete(seq uint64) {
	l.update(func() {
		l.events = slices.DeleteFunc(l.events, func(ev feed.Event) bool { return ev.Seq == seq })
	})
}

// Recreate replaces the stream with an empty one of another epoch.
func (l *MemLog) Recreate() {
	l.update(func() {
		l.epochs++
		l.epoch, l.events, l.last = fmt.Sprintf("e%d", l.epochs), nil, 0
		l.born++
	})
}

// RecreateAlike replaces the stream with an empty one of the same epoch, as one with an
// epoch that somebody chose.
func (l *MemLog) RecreateAlike() {
	l.update(func() {
		l.events, l.last = nil, 0
		l.born++
	})
}

// SetCopy makes the stream a copy of another, or none.
func (l *MemLog) SetCopy(c feed.Copy) { l.update(func() { l.copy = c }) }

// Rollback forgets every event after last, within the same epoch, as a restored disk does.
func (l *MemLog) Rollback(last uint64) {
	l.update(func() {
		l.last = last
		l.floors = append(l.floors, last)
		l.events = slices.DeleteFunc(l.events, func(ev feed.Event) bool { return ev.Seq > last })
	})
}

// SetDown puts the log out of reach until SetDown(nil).
func (l *MemLog) SetDown(why error) { l.update(func() { l.down = why }) }

// OpenReaders counts the Readers that were not closed.
func (l *MemLog) OpenReaders() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readers
}

// reach waits until the log can be reached, and returns holding the lock.
func (l *MemLog) reach(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.mu.Lock()
		if l.down == nil {
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

func (l *MemLog) stateLocked() feed.State {
	s := feed.State{Epoch: l.epoch, FirstSeq: l.last + 1, LastSeq: l.last, Copy: l.copy}
	if l.copy == feed.Original {
		s.Born = l.born
	}
	if n := len(l.events); n > 0 {
		s.FirstSeq = l.events[0].Seq
		s.Deleted = l.last - s.FirstSeq + 1 - uint64(n)
	}
	return s
}

// State implements feed.Log.
func (l *MemLog) State(ctx context.Context) (feed.State, error) {
	if err := l.reach(ctx); err != nil {
		return feed.State{}, err
	}
	defer l.mu.Unlock()
	return l.stateLocked(), nil
}

// SeqAt implements feed.Log.
func (l *MemLog) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	if err := l.reach(ctx); err != nil {
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

// HasHoles implements feed.Log.
func (l *MemLog) HasHoles(ctx context.Context, from, to uint64) (bool, error) {
	if err := l.reach(ctx); err != nil {
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

// Read implements feed.Log.
func (l *MemLog) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	if err := l.reach(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	r := &memReader{log: l, opts: opts, next: opts.From}
	if opts.LastPerSubject {
		r.only = l.latestLocked(opts)
	}
	for _, ev := range l.events {
		if r.wants(ev) {
			r.pending++
		}
	}
	l.readers++
	return r, nil
}

func (l *MemLog) latestLocked(opts feed.ReadOptions) map[uint64]bool {
	latest := map[string]uint64{}
	for _, ev := range l.events {
		if ev.Seq <= opts.To {
			latest[ev.Subject] = ev.Seq
		}
	}
	only := map[uint64]bool{}
	for _, seq := range latest {
		only[seq] = true
	}
	return only
}

type memReader struct {
	log     *MemLog
	opts    feed.ReadOptions
	next    uint64
	only    map[uint64]bool
	pending uint64
	bytes   int  // of a batch; 0 for any number
	alone   bool // the next event is larger
	closed  bool
}

func (r *memReader) wants(ev feed.Event) bool {
	return ev.Seq >= r.next && ev.Seq <= r.opts.To && (r.only == nil || r.only[ev.Seq]) &&
		(len(r.opts.Filters) == 0 || slices.ContainsFunc(r.opts.Filters, func(f string) bool { return feed.Matches(f, ev.Subject) }))
}

func (r *memReader) Pending() uint64 { return r.pending }

// Request implements feed.Reader. Nothing is read ahead in memory.
func (r *memReader) Request(bytes int) bool {
	r.bytes = bytes
	return true
}

func (r *memReader) Next(ctx context.Context) (feed.Batch, error) {
	if err := r.log.reach(ctx); err != nil {
		return feed.Batch{}, err
	}
	defer r.log.mu.Unlock()
	limit := r.log.ReadBatch
	if limit == 0 {
		limit = 3
	}
	batch := feed.Batch{State: r.log.stateLocked()}
	room := r.bytes
	for _, ev := range r.log.events {
		if !r.wants(ev) {
			continue
		}
		room -= len(ev.Data)
		if r.bytes > 0 && room < 0 && !r.alone || len(batch.Events) == limit {
			break
		}
		batch.Events = append(batch.Events, ev)
		if r.alone {
			break
		}
	}
	if r.alone = len(batch.Events) == 0 && room < 0; r.alone {
		return feed.Batch{}, &feed.LargeEventError{Bytes: r.bytes - room}
	}
	if len(batch.Events) == 0 {
		return batch, io.EOF
	}
	r.next = batch.Events[len(batch.Events)-1].Seq + 1
	return batch, nil
}

func (r *memReader) Close() {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.log.readers--
	}
}

// Follow implements feed.Log.
func (l *MemLog) Follow(ctx context.Context, opts feed.FollowOptions) iter.Seq2[feed.Event, error] {
	return func(yield func(feed.Event, error) bool) {
		f := &memFollower{log: l, opts: opts, next: opts.From, ends: -1}
		for {
			events, changed, err := f.poll(ctx)
			if err != nil {
				yield(feed.Event{}, err)
				return
			}
			for _, ev := range events {
				if !yield(ev, nil) {
					return
				}
				f.next = ev.Seq + 1
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(feed.Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

// memFollower is one Follow under way.
type memFollower struct {
	log  *MemLog
	opts feed.FollowOptions
	next uint64
	ends int // how many of MemLog.floors were seen; -1 before the first look
}

// poll returns what is stored from next on, or how the sequences up to the end were lost.
func (f *memFollower) poll(ctx context.Context) (events []feed.Event, changed <-chan struct{}, err error) {
	l := f.log
	if err := l.reachTold(ctx, f.opts); err != nil {
		return nil, nil, err
	}
	defer l.mu.Unlock()
	state := l.stateLocked()
	if loss := f.lossLocked(state); loss != nil {
		return nil, nil, loss
	}
	i, _ := slices.BinarySearchFunc(l.events, f.next, func(ev feed.Event, seq uint64) int {
		if ev.Seq < seq {
			return -1
		}
		return 1
	})
	events = slices.Clone(l.events[i:])
	if len(events) == 0 && f.next <= state.LastSeq {
		events = []feed.Event{{Seq: state.LastSeq, Deleted: true}}
	}
	return events, l.changed, nil
}

func (f *memFollower) lossLocked(state feed.State) error {
	loss := &feed.LossError{From: f.next, State: state}
	if state.Epoch != f.opts.Epoch || f.opts.Born != 0 && state.Born != 0 && state.Born != f.opts.Born {
		loss.Reason = feed.NewEpoch
		return loss
	}
	loss.Kept = f.keptLocked()
	loss.Again = loss.Kept < f.next-1
	switch {
	case state.LastSeq+1 < f.next:
		loss.Reason = feed.Future
	case state.FirstSeq > f.next:
		loss.Reason = feed.Trimmed
	case loss.Again:
		loss.Reason = feed.Possible
	default:
		return nil
	}
	return loss
}

// keptLocked returns the last sequence that was read and is the same as then.
func (f *memFollower) keptLocked() uint64 {
	kept, ends := f.next-1, f.log.floors
	if f.ends < 0 && (f.log.last < kept || f.log.replacedLocked(f.opts.Read)) {
		return 0
	}
	if f.ends >= 0 && f.ends < len(ends) {
		kept = min(kept, slices.Min(ends[f.ends:]))
	}
	if kept == f.next-1 {
		f.ends = len(ends) // what was lost had not been read
	}
	return kept
}

// replacedLocked reports that another event has the place of one that was read.
func (l *MemLog) replacedLocked(read feed.Mark) bool {
	return slices.ContainsFunc(l.events, func(ev feed.Event) bool {
		return ev.Seq == read.Seq && !ev.Time.Equal(read.Time)
	})
}

func (l *MemLog) reachTold(ctx context.Context, opts feed.FollowOptions) error {
	tell := opts.Contact
	if tell == nil {
		tell = func(error) {}
	}
	l.mu.Lock()
	down := l.down
	l.mu.Unlock()
	tell(down)
	if err := l.reach(ctx); err != nil {
		return err
	}
	if down != nil {
		l.mu.Unlock()
		tell(nil)
		return l.reach(ctx)
	}
	return nil
}
