package feed

import (
	"context"
	"sync"
	"time"
)

// Delivery is what a subscription has to send next: a gap, frames after it, or both.
type Delivery struct {
	Gap    *Gap
	Frames []*Frame // valid until the next call
}

// Empty reports that there is nothing to send.
func (d Delivery) Empty() bool { return d.Gap == nil && len(d.Frames) == 0 }

// Waker is told that a subscription may have something to send. Wake is called while the
// feed is locked: it must return at once and not call back.
type Waker interface{ Wake() }

// Subscription is one client's progress through a feed. One goroutine at a time calls Poll,
// Fetch, Next and Close; Position may be called by any.
type Subscription struct {
	feed    *Feed
	filters []string
	opening StartInfo
	replay  replay
	slot    int32 // in Feed.subs, whose it is

	mu           sync.Mutex
	waker        Waker         // nil for none
	wake         chan struct{} // of wait; nil until somebody waits
	live         bool          // in the index: the tail offers frames
	closed       bool
	opened       bool   // resets concern it; see finishOpening
	missed       bool   // frames were removed from pending, which is to be announced
	waiting      bool   // for the next gap round, with a gap to send
	gapRound     uint32 // the round in which the last gap for deletions was sent
	epoch        string
	created      int64    // State.Created of the incarnation that the cursor is meant for
	cursor       uint64   // everything that matches up to here was returned
	inHand       bool     // what was returned last is not known to be sent yet
	settled      Position // where the client stood before that
	offered      uint64   // everything that matches up to here was returned or is pending
	pending      []*Frame
	pendingBytes int
	staleSince   time.Duration // after clockBase, when pending events may have been removed with their stream; 0 for not
	spare        []*Frame      // the slice that was returned last
	jump         *jump         // what follows once pending is empty
	verified     uint64        // Feed.resets when cursor was found to lie within the stream
	announced    uint64        // the round up to which deletions were announced, or concern it no more
	removals     uint64        // Feed.removals when pending was last compared with it
}

// State says how a subscription gets its frames.
type SubscriptionState string

// The states of a subscription; see the package documentation.
const (
	Live      SubscriptionState = "live"
	Replaying SubscriptionState = "replaying"
	Closed    SubscriptionState = "closed"
)

// State returns the present state.
func (s *Subscription) State() SubscriptionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return Closed
	case s.live:
		return Live
	}
	return Replaying
}

// PendingSince says since when an event waits to be taken, in nanoseconds since 1970 as Frame.Stored
// has them; 0 when none does. A subscription that fell behind has dropped its events: then it is
// not level.
func (s *Subscription) PendingSince() (since int64, level bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 {
		since = s.pending[0].stored
	}
	return since, s.live || s.waiting
}

// Filters returns the merged subjects of the subscription; empty means all.
func (s *Subscription) Filters() []string { return s.filters }

// StartInfo says how the subscription began.
func (s *Subscription) StartInfo() StartInfo { return s.opening }

// Position is what a client may resume from when it has everything that Next returned before
// its present or next call: as far as the tail has looked when nothing waits, so that a
// client whose subjects are quiet does not fall out of retention. It never falls, but for
// another incarnation of the stream.
func (s *Subscription) Position() Position {
	s.feed.mu.RLock()
	high := s.feed.window.high // before pending is looked at, see Feed.offer
	defer s.feed.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.announced < s.feed.window.deletions.skipped.round {
		high = min(high, s.feed.beforeHoleLocked(s.announced)) // a client that is cut off now gets the gap when it resumes
	}
	if s.inHand {
		return s.settled
	}
	if s.live && len(s.pending) == 0 && s.jump == nil && !s.missed {
		return Position{max(s.cursor, high), s.epoch}
	}
	return Position{s.cursor, s.epoch}
}

// Notify names who is told when Poll may have something. It is told once at once.
func (s *Subscription) Notify(w Waker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waker = w
	w.Wake()
}

// Poll returns what there is to send without blocking: frames of about room bytes at most,
// unless one is larger. Empty and not behind, there is nothing until the Waker is told;
// empty and behind, the log must be read with Fetch. To call Poll or Fetch says that what
// either returned before was dealt with.
func (s *Subscription) Poll(room int) (d Delivery, behind bool, err error) {
	s.replay.sent()
	for {
		d, wait, err := s.take(room)
		if err == nil && d.Empty() && s.feed.isDone() {
			err = ErrClosed
		}
		if err != nil || !d.Empty() || wait {
			return d, false, err
		}
		if s.replay.reader != nil || s.replay.lastTo > 0 {
			return Delivery{}, true, nil
		}
		d, covered, caughtUp := s.readWindow(room)
		if !covered || !d.Empty() || !caughtUp {
			return d, !covered, nil
		}
	}
}

// Fetch takes one step from behind with the help of the log. It blocks until the log has
// answered, ctx ends, or the feed has stopped (ErrClosed). An empty delivery without an error
// asks for another Poll. Trouble with the log is waited out.
func (s *Subscription) Fetch(ctx context.Context) (Delivery, error) {
	s.settle()
	s.replay.sent()
	if s.replay.reader != nil {
		return s.continueReplay(ctx)
	}
	return s.beginReplay(ctx)
}

// nextBytes is how much Next returns at a time.
const nextBytes = 1 << 20

// Next is Poll, and Fetch where it is needed, for a goroutine that has nothing else to do.
// It blocks until there is something to send, ctx ends, or the feed has stopped (ErrClosed).
func (s *Subscription) Next(ctx context.Context) (Delivery, error) {
	s.listen()
	for {
		d, behind, err := s.Poll(nextBytes)
		switch {
		case err != nil || !d.Empty():
			return d, err
		case behind:
			d, err = s.Fetch(ctx)
		default:
			err = s.wait(ctx, nil)
		}
		if err != nil || !d.Empty() {
			return d, err
		}
	}
}

func (s *Subscription) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inHand = false
}

// holdLocked keeps the position from before what is about to be returned.
func (s *Subscription) holdLocked() {
	if !s.inHand {
		s.inHand, s.settled = true, Position{s.cursor, s.epoch}
	}
}

// take settles what was returned before, and returns what is pending, then the jump that
// follows it. wait reports that nothing more is there until the Waker is called.
func (s *Subscription) take(room int) (d Delivery, wait bool, err error) {
	s.feed.expireDue()
	s.mu.Lock()
	s.inHand = false
	if s.missed || s.removals != s.feed.removals.Load() || len(s.pending) > 0 && (s.pending[0].Seq < s.feed.floor.Load() || s.staleLocked()) {
		s.mu.Unlock()
		return s.takeWithout(room)
	}
	defer s.mu.Unlock()
	return s.takeLocked(room)
}

func (s *Subscription) takeLocked(room int) (d Delivery, wait bool, err error) {
	if s.closed {
		return Delivery{}, false, ErrClosed
	}
	if len(s.pending) > 0 {
		s.cursor = s.pending[0].Seq - 1 // the tail looked at all before it
		s.holdLocked()
		d.Frames = s.takePendingLocked(room)
		return d, s.live, nil
	}
	if j := s.jump; j != nil {
		if j.gap != nil {
			s.holdLocked()
		}
		s.jump = nil
		s.epoch, s.created, s.cursor, s.offered = j.to.Epoch, j.born, j.to.Seq, j.to.Seq
		s.replay.lastTo = 0
		s.replay.close()
		s.replay.announced = announcedHoles{}
		return Delivery{Gap: j.gap}, s.live, nil
	}
	return Delivery{}, s.live || s.waitsForRoundLocked(), nil
}

// keepPending is the capacity of the pending list that an idle connection keeps.
const keepPending = 4

func (s *Subscription) takePendingLocked(room int) []*Frame {
	frames := s.pending
	if s.pendingBytes > room {
		frames = frames[:fitting(frames, room)]
	}
	if left := s.pending[len(frames):]; len(left) > 0 {
		s.pending, s.spare = left, nil
		for _, f := range frames {
			s.pendingBytes -= f.size
		}
	} else {
		clear(s.spare[:cap(s.spare)])
		s.pending, s.spare, s.pendingBytes = s.spare[:0], frames, 0
		if cap(frames) > keepPending {
			s.spare = nil
		}
	}
	s.cursor = frames[len(frames)-1].Seq
	return frames
}

// fitting is how many of the frames have room, at least one.
func fitting(frames []*Frame, room int) int {
	for i, f := range frames {
		if room -= f.size; room < 0 {
			return max(i, 1)
		}
	}
	return len(frames)
}

// offered is what became of a frame that a subscription was offered.
type offered uint8

const (
	took offered = iota
	seen         // before: a position ahead of the tail, or two filters that match
	full         // not: the list was full, or a gap comes first; the subscription must leave the index
)

// offer appends a frame to what is pending. The tail calls it under Feed.mu.
func (s *Subscription) offer(f *Frame) offered {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Seq <= s.offered || !s.live {
		return seen
	}
	if hole := s.feed.window.deletions.skipped; s.announced < hole.round && s.leaveAtHoleLocked(hole, s.feed.beforeHoleLocked(s.announced)) {
		return full
	}
	if s.fullLocked(f) {
		s.live = false
		s.dropPendingLocked()
		s.signal()
		return full
	}
	if len(s.pending) == 0 {
		s.cursor = max(s.cursor, f.Seq-1) // nothing before it matched: Position does not fall
		s.staleSince = 0
	}
	s.pending = append(s.pending, f)
	s.pendingBytes += f.size
	s.offered = f.Seq
	s.signal()
	return took
}

func (s *Subscription) fullLocked(f *Frame) bool {
	opts := &s.feed.opts
	return len(s.pending) >= opts.MaxPending ||
		len(s.pending) > 0 && s.pendingBytes+f.size > opts.MaxPendingBytes
}

// dropPendingLocked keeps the cursor, which is all that it takes to catch up.
func (s *Subscription) dropPendingLocked() {
	s.pending, s.spare, s.pendingBytes, s.offered, s.missed = nil, nil, 0, s.cursor, false
}

// leave closes the subscription and reports whether it was in the index.
func (s *Subscription) leave() (wasLive bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wasLive, s.live, s.closed = s.live, false, true
	s.pending, s.spare, s.jump = nil, nil, nil
	s.signal()
	return wasLive
}

// Close ends the subscription and gives up its replay. It does not block on the log.
func (s *Subscription) Close() {
	s.feed.unregister(s)
	s.replay.close()
	s.replay.release()
}

// signal is called under mu.
func (s *Subscription) signal() {
	if s.waker != nil {
		s.waker.Wake()
	}
	select {
	case s.wake <- struct{}{}:
	default: // nobody waits, or a token is there
	}
}

func (s *Subscription) stopped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signal()
}

// indexFilters are the filters as the index wants them.
func (s *Subscription) indexFilters() []string {
	if len(s.filters) == 0 {
		return []string{">"}
	}
	return s.filters
}
