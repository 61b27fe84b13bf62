package feed

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/slots"
)

// ErrClosed ends the subscriptions of a stopped feed.
var ErrClosed = errors.New("the feed has stopped")

// Feed is one stream on one node: its tail, its window and its subscriptions.
type Feed struct {
	store Store
	opts  Options

	ready   chan struct{} // closed once the stream was reached and the window is filled
	opening sync.Once     // closes it
	done    chan struct{} // closed when Run has returned

	mu            sync.RWMutex
	incarnation          // that the tail follows
	first         uint64 // State.FirstSeq, of the last state
	reused        reusedRange
	resetEnd      uint64 // the stream's last sequence at the last reset, which the tail may still have to reach
	window        *window
	index         index
	subs          slots.Set[Subscription]
	resets        uint64  // how often the sequences may have changed their meaning
	streamContact contact // to the stream that the tail follows
	matched       []*Subscription
	read          Mark // the event that the tail has read last; only Run uses it

	mirrorWait mirrorWait

	// These fields follow the deletions of the stream; see reconcile.
	clock         streamClock
	nextExpiry    atomic.Int64  // by clock; 0 for never
	removals      atomic.Uint64 // changes when frames were marked as removed
	floor         atomic.Uint64 // events before it may have been deleted without a mark, see setFloorLocked
	removed       removalCounts
	ledger        ledger  // guarded by mu, as are the next ones
	anyDeleted    bool    // State.Deleted is above zero there
	wanted        *reach  // nil while nothing waits
	leaderContact contact // to its leader
	announced     uint64  // the round up to which deleted sequences were announced to all
	unannounced   []unannounced
	verification  verification // of the goroutine that polls
	rounds        gapRounds

	counted, compared     atomic.Uint64 // see Status
	fromWindow, fromStore atomic.Uint64 // see Status
	replays               replays
	outages               outages
	losses                lossCounts
	undeliverable         undeliverable
	tailFailures          atomic.Uint64
	lastSubjects          subjectCounts
	lookups               chan struct{} // those of findOpen under way
}

// New returns a feed of the stream behind store. It does nothing until Run.
func New(store Store, opts Options) *Feed {
	opts = opts.withDefaults()
	f := &Feed{
		store: store, opts: opts,
		ready: make(chan struct{}), done: make(chan struct{}),
		window: newWindow(opts.WindowEvents, opts.WindowBytes),
		index:  newIndex(), subs: slots.New(func(s *Subscription) *int32 { return &s.slot }),
		lookups:       make(chan struct{}, maxLookups),
		resets:        1, // a subscription that has verified nothing holds 0
		streamContact: contact{errors.New("the stream has not been reached yet"), time.Now()},
	}
	f.rounds.round.Store(1) // a subscription that was sent no gap holds 0
	return f
}

// Options are those of New, with their defaults.
func (f *Feed) Options() Options { return f.opts }

// Ready is closed once the feed has reached its stream and serves subscriptions. It stays closed.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

func (f *Feed) isReady() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// isDone reports that Run has returned.
func (f *Feed) isDone() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// State requests the state of the stream from its leader. It blocks until there is an answer.
func (f *Feed) State(ctx context.Context) (State, error) { return f.store.State(ctx) }

// Status describes a feed at one moment.
type Status struct {
	Epoch         string
	Low, High     uint64 // the window covers the sequences (Low, High]; High is the tail's
	Events, Bytes int    // held in the window; Bytes with the envelopes
	Subscriptions int
	// Positions that were continued from the window, and those that required the store. Their ratio
	// shows whether the window is large enough.
	FromWindow, FromStore uint64
	// When the oldest and the newest event of the window were stored; zero for none.
	Oldest, Newest time.Time
	// Losses are how often the tail could not continue at its position, by reason.
	Losses map[Reason]uint64
	// TailFailures are how often the tail ended with an error and was restarted.
	TailFailures uint64
	Replays      ReplayStatus
	// Undeliverable counts the events since the start for which Options.Deliverable is false.
	Undeliverable uint64
	// Removed are the frames that left the window because the stream no longer has them, by reason.
	Removed map[Removal]uint64
	// Counts and Reads are how often the window was compared with the stream, by the number of its
	// events and by reading their headers.
	Counts, Reads uint64
	Lost          error // why the stream, or its leader, is out of reach; nil while it is followed
}

// LostFor returns for how long the stream or its leader has been out of reach. It is zero while the
// stream is followed. It does not block on the store.
func (f *Feed) LostFor() time.Duration {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return max(f.streamContact.lostFor(), f.leaderContact.lostFor())
}

// Status returns the present Status. It does not block on the store.
func (f *Feed) Status() Status {
	f.mu.RLock()
	defer f.mu.RUnlock()
	oldest, newest := f.window.span()
	return Status{
		Oldest: oldest, Newest: newest, Losses: f.losses.load(), TailFailures: f.tailFailures.Load(), Replays: f.replays.status(),
		Epoch: f.epoch, Low: f.window.low, High: f.window.high,
		Events: f.window.frames.len(), Bytes: f.window.size(),
		Removed: f.removed.load(), Counts: f.counted.Load(), Reads: f.compared.Load(),
		Subscriptions: f.subs.Len(), Lost: cmp.Or(f.streamContact.err, f.leaderContact.err),
		FromWindow: f.fromWindow.Load(), FromStore: f.fromStore.Load(),
		Undeliverable: f.undeliverable.count.Load(),
	}
}

// publish adds a stored event to the window, and to the queues of the live subscriptions that it
// matches.
func (f *Feed) publish(ev Event) {
	if ev.Trace != nil && !f.isReady() {
		ev.Trace = nil // stored before the node started: many at each start, of requests that have long ended
	}
	f.mu.Lock()
	frame := newFrame(f.window.share(f.epoch), ev)
	f.window.add(frame)
	f.reachedLocked()
	if f.anyDeleted {
		f.setFloorLocked()
	}
	if f.window.limits.maxAge > 0 && f.nextExpiry.Load() == 0 || frame.expires != 0 {
		f.nextExpiry.Store(f.window.nextExpiry())
	}
	f.matched = f.matched[:0]
	// Collected first: a subscription that overflows leaves the index, which is locked
	// while it is matched.
	f.index.match(ev.Subject, func(s *Subscription) { f.matched = append(f.matched, s) })
	enqueued := 0
	for _, s := range f.matched {
		if s.enqueue(frame) {
			enqueued++
		}
	}
	clear(f.matched)
	f.mu.Unlock()
	if enqueued == 0 {
		f.checkDeliverable(ev)
	}
	if ev.Trace != nil {
		ev.Trace.Enqueued(enqueued)
	}
}

// reset empties the window and continues after seq in the incarnation of the loss, because the tail
// could not continue. The events that it reads next do not continue the events of subscriptions, so it moves
// those that cannot detect this by themselves; see Subscription.reset.
func (f *Feed) reset(loss *LossError, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announceDeletedLocked()
	reached := Position{f.window.high, f.epoch}
	f.reused, f.resetEnd = f.reused.after(f.epoch, loss), loss.State.LastSeq
	f.incarnation, f.first = loss.State.incarnation(), loss.State.FirstSeq
	f.window.reset(seq)
	f.unannounced = f.unannounced[:0]
	f.anyDeleted, f.ledger = loss.State.Deleted > 0, ledger{}
	f.setFloorLocked()
	f.reachedLocked()
	f.resets++
	f.losses.add(loss.Reason)
	for _, s := range f.subs.All() {
		s.reset(loss, reached, seq)
	}
}

// contact is the state of the contact to a stream or to its leader: established, or lost since a time.
type contact struct {
	err   error // why it is lost; nil while it is established
	since time.Time
}

// set records the contact, and reports whether it changed: it was lost or established now.
func (c *contact) set(err error) (changed bool) {
	if changed = (c.err == nil) != (err == nil); changed {
		c.since = time.Now()
	}
	c.err = err
	return changed
}

func (c *contact) lostFor() time.Duration {
	if c.err == nil {
		return 0
	}
	return time.Since(c.since)
}

// setLost records whether the stream is followed.
func (f *Feed) setLost(err error) {
	f.mu.Lock()
	changed := f.streamContact.set(err)
	f.mu.Unlock()
	switch {
	case changed && err != nil:
		f.outages.begin()
		f.opts.Logger.Warn("feed: stream is out of reach; clients stay connected and wait", "error", err)
	case changed:
		f.opts.Logger.Info("feed: following the stream")
	}
}
