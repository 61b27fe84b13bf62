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

// ErrClosed ends subscriptions whose feed no longer runs.
var ErrClosed = errors.New("the feed has stopped")

// Feed is one stream on one node: its tail, its window and its subscriptions.
type Feed struct {
	log  Store
	opts Options

	ready   chan struct{} // closed once the stream was reached and the window is filled
	opening sync.Once     // closes it
	done    chan struct{} // closed when Run has returned

	mu       sync.RWMutex
	epoch    string
	born     int64  // State.Born
	first    uint64 // State.FirstSeq, of the last state
	reused   reusedRange
	resetEnd uint64 // the stream's last sequence at the last reset, which the tail may still have to reach
	window   *window
	index    index
	subs     slots.Set[Subscription]
	resets   uint64 // how often the sequences may have changed their meaning
	lost     error  // why the log is out of reach; nil while it is followed
	lostAt   time.Time
	matched  []*Subscription
	read     Mark // the event that the tail has read last; only Run uses it

	ahead ahead

	// What follows the deletions of the stream; see reconcile.
	clock        streamClock
	nextExpiry   atomic.Int64  // by clock; 0 for never
	removals     atomic.Uint64 // changes when frames were marked as removed
	floor        atomic.Uint64 // events before it may have been deleted without a mark, see setFloorLocked
	removed      removalCounts
	ledger       ledger    // guarded by mu, as are the next ones
	anyDeleted   bool      // State.Deleted is above zero there
	wanted       *reach    // nil while nothing waits
	silent       error     // why the leader does not answer; nil while it does
	silentAt     time.Time // since when
	announced    uint64    // the round of deletions up to which holes were announced to all
	holes        []unannounced
	verification verification // of the goroutine that polls
	rounds       gapRounds

	counted, compared   atomic.Uint64 // see Status
	fromWindow, fromLog atomic.Uint64 // see Status
	replays             replays
	outages             outages
	losses              lossCounts
	undeliverable       undeliverable
	tailFailures        atomic.Uint64
	lastSubjects        subjectCounts
}

// New returns a feed of the stream behind log. It does nothing until Run.
func New(log Store, opts Options) *Feed {
	opts = opts.withDefaults()
	f := &Feed{
		log: log, opts: opts,
		ready: make(chan struct{}), done: make(chan struct{}),
		window: newWindow(opts.WindowEvents, opts.WindowBytes),
		index:  newIndex(), subs: slots.New(func(s *Subscription) *int32 { return &s.slot }),
		resets: 1, // a subscription that has verified nothing holds 0
		lost:   errors.New("the stream was not reached yet"), lostAt: time.Now(),
	}
	f.rounds.round.Store(1) // a subscription that was sent no gap holds 0
	return f
}

// Options are those of New, with their defaults.
func (f *Feed) Options() Options { return f.opts }

// Ready is closed once the feed knows its stream and serves subscriptions. It stays closed.
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

// State asks the stream's leader; it blocks until there is an answer.
func (f *Feed) State(ctx context.Context) (State, error) { return f.log.State(ctx) }

// Status is what a node knows about a feed.
type Status struct {
	Epoch         string
	Low, High     uint64 // the window covers the sequences (Low, High]; High is the tail's
	Events, Bytes int    // held in the window
	Subscriptions int
	// Positions that were continued from the window, and those that took the log. Their ratio
	// says whether the window is large enough.
	FromWindow, FromLog uint64
	// When the oldest and the newest event of the window were stored; zero for none.
	Oldest, Newest time.Time
	// Losses are how often the tail could not go on where it was, by reason.
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

// LostFor is for how long the log, or the stream's leader, has been out of reach; zero while it is
// followed. It does not block on the log.
func (f *Feed) LostFor() (d time.Duration) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if !f.lostAt.IsZero() {
		d = time.Since(f.lostAt)
	}
	if f.silent != nil {
		d = max(d, time.Since(f.silentAt))
	}
	return d
}

// Status does not block on the log.
func (f *Feed) Status() Status {
	f.mu.RLock()
	defer f.mu.RUnlock()
	oldest, newest := f.window.span()
	return Status{
		Oldest: oldest, Newest: newest, Losses: f.losses.load(), TailFailures: f.tailFailures.Load(), Replays: f.replays.status(),
		Epoch: f.epoch, Low: f.window.low, High: f.window.high,
		Events: f.window.frames.len(), Bytes: f.window.bytes,
		Removed: f.removed.load(), Counts: f.counted.Load(), Reads: f.compared.Load(),
		Subscriptions: f.subs.Len(), Lost: cmp.Or(f.lost, f.silent),
		FromWindow: f.fromWindow.Load(), FromLog: f.fromLog.Load(),
		Undeliverable: f.undeliverable.count.Load(),
	}
}

// offer hands a stored event to the window and to the live subscriptions that match it.
func (f *Feed) offer(ev Event) {
	if ev.Trace != nil && !f.isReady() {
		ev.Trace = nil // stored before the node came: a burst at each start, of what has long ended
	}
	matched := f.handOut(ev)
	if matched == 0 {
		f.checkDeliverable(ev)
	}
	if ev.Trace != nil {
		ev.Trace.Offered(matched)
	}
}

// handOut returns how many subscriptions it was for.
func (f *Feed) handOut(ev Event) (matched int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	frame := newFrame(f.epoch, ev)
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
	matched = len(f.matched)
	for _, s := range f.matched {
		switch s.offer(frame) {
		case full:
			f.index.remove(s)
		case seen:
			matched--
		}
	}
	clear(f.matched)
	return matched
}

// reset starts over after seq in the incarnation that now shows, because the tail could not
// go on: what subscriptions have beyond their pending frames is no longer continued by what
// the tail will bring.
func (f *Feed) reset(loss *LossError, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announceHolesLocked()
	reached := Position{f.window.high, f.epoch}
	f.reused, f.resetEnd = f.reused.after(f.epoch, loss), loss.State.LastSeq
	f.epoch, f.born, f.first = loss.State.Epoch, loss.State.Born, loss.State.FirstSeq
	f.window.reset(seq)
	f.holes = f.holes[:0]
	f.anyDeleted, f.ledger = loss.State.Deleted > 0, ledger{}
	f.setFloorLocked()
	f.reachedLocked()
	f.resets++
	f.losses.add(loss.Reason)
	for _, s := range f.subs.All() {
		if s.reset(loss, reached, seq) {
			f.index.remove(s)
		}
	}
}

func (f *Feed) setLost(err error) {
	f.mu.Lock()
	changed := (f.lost == nil) != (err == nil)
	f.lost = err
	switch {
	case err == nil:
		f.lostAt = time.Time{}
	case changed:
		f.lostAt = time.Now()
	}
	f.mu.Unlock()
	switch {
	case changed && err != nil:
		f.outages.begin()
		f.opts.Logger.Warn("the stream is out of reach; clients stay connected and wait", "error", err)
	case changed:
		f.opts.Logger.Info("following the stream")
	}
}

// forget removes a subscription. It leaves the index, whose cost rises with the number of filters,
// when the feed is unlocked again: until then offers meet a closed subscription.
func (f *Feed) forget(s *Subscription) {
	f.ahead.remove(s)
	f.mu.Lock()
	f.subs.Remove(s)
	wasLive := s.leave()
	f.mu.Unlock()
	if wasLive {
		f.index.remove(s)
	}
}
