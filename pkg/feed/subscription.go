package feed

import (
	"context"
	"sync"
)

// Delivery is what a subscription has to send next: a gap, frames after it, or both.
type Delivery struct {
	Gap    *Gap
	Frames []*Frame // valid until the next call of Next
}

func (b Delivery) empty() bool { return b.Gap == nil && len(b.Frames) == 0 }

// Subscription is one client's progress through a feed. One goroutine calls Next and Close;
// Position may be called by any.
type Subscription struct {
	feed    *Feed
	filters []string
	opening Opening
	wake    chan struct{} // holds a token when something changed for a waiting Next

	replay replay // of Next's goroutine alone

	mu           sync.Mutex
	live         bool // in the index: the tail offers frames
	closed       bool
	epoch        string
	cursor       uint64   // everything that matches up to here was returned by Next
	inHand       bool     // what Next returned last is not known to be sent yet
	settled      Position // where the client stood before that
	offered      uint64   // everything that matches up to here was returned or is pending
	pending      []*Frame
	pendingBytes int
	spare        []*Frame // the slice that Next returned last
	jump         *jump    // what follows once pending is empty
	verified     uint64   // Feed.resets when cursor was found to lie within the stream
}

// jump moves a subscription to where its feed went on.
type jump struct {
	gap    *Gap
	epoch  string
	cursor uint64
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

// Filters returns the merged subjects of the subscription; empty means all.
func (s *Subscription) Filters() []string { return s.filters }

// Opening says how the subscription began.
func (s *Subscription) Opening() Opening { return s.opening }

// Position is what a client may resume from when it has everything that Next returned before
// its present or next call: as far as the tail has looked when nothing waits, so that a
// client whose subjects are quiet does not fall out of retention. It never falls, but for
// another incarnation of the stream.
func (s *Subscription) Position() Position {
	s.feed.mu.RLock()
	high := s.feed.window.high // before pending is looked at, see Feed.offer
	s.feed.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inHand {
		return s.settled
	}
	if s.live && len(s.pending) == 0 && s.jump == nil {
		return Position{max(s.cursor, high), s.epoch}
	}
	return Position{s.cursor, s.epoch}
}

// Next blocks until there is something to send, ctx ends, or the feed has stopped
// (ErrClosed). Trouble with the log is waited out. To call it says that what it returned
// before was dealt with.
func (s *Subscription) Next(ctx context.Context) (Delivery, error) {
	for {
		s.settle()
		d, live, err := s.take()
		if err == nil && d.empty() && live {
			err = s.wait(ctx, nil)
		} else if err == nil && d.empty() {
			d, err = s.catchUp(ctx)
		}
		if err != nil || !d.empty() {
			return d, err
		}
	}
}

func (s *Subscription) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inHand = false
}

func (s *Subscription) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holdLocked()
}

// holdLocked keeps the position from before what Next is about to return.
func (s *Subscription) holdLocked() {
	if !s.inHand {
		s.inHand, s.settled = true, Position{s.cursor, s.epoch}
	}
}

// take returns what is pending, then the jump that follows it.
func (s *Subscription) take() (d Delivery, live bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Delivery{}, false, ErrClosed
	}
	if len(s.pending) > 0 {
		s.cursor = s.pending[0].Seq - 1 // the tail looked at all before it
		s.holdLocked()
		d.Frames = s.takePendingLocked()
		return d, s.live, nil
	}
	if j := s.jump; j != nil {
		s.holdLocked()
		s.jump = nil
		s.epoch, s.cursor, s.offered = j.epoch, j.cursor, j.cursor
		s.replay.close()
		return Delivery{Gap: j.gap}, s.live, nil
	}
	return Delivery{}, s.live, nil
}

// keepPending is the capacity of the pending list that an idle connection keeps.
const keepPending = 4

func (s *Subscription) takePendingLocked() []*Frame {
	frames := s.pending
	clear(s.spare[:cap(s.spare)])
	s.pending, s.spare = s.spare[:0], frames
	if cap(frames) > keepPending {
		s.spare = nil
	}
	s.pendingBytes = 0
	s.cursor = frames[len(frames)-1].Seq
	return frames
}

// offer appends a frame to what is pending. It returns false when the subscription is full:
// it has then dropped its list and must leave the index. The tail calls it under Feed.mu.
func (s *Subscription) offer(f *Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Seq <= s.offered || !s.live {
		return true // seen already: a position ahead of the tail, or two filters that match
	}
	if s.fullLocked(f) {
		s.live = false
		s.dropPendingLocked()
		s.signal()
		return false
	}
	s.pending = append(s.pending, f)
	s.pendingBytes += f.size
	s.offered = f.Seq
	s.signal()
	return true
}

func (s *Subscription) fullLocked(f *Frame) bool {
	opts := &s.feed.opts
	return len(s.pending) >= opts.MaxPending ||
		len(s.pending) > 0 && s.pendingBytes+f.size > opts.MaxPendingBytes
}

// dropPendingLocked keeps the cursor, which is all that it takes to catch up.
func (s *Subscription) dropPendingLocked() {
	s.pending, s.spare, s.pendingBytes, s.offered = nil, nil, 0, s.cursor
}

// reset tells the subscription that the tail goes on after seq behind a loss, having
// reached the position before it. It returns whether the subscription must leave the index.
// The tail calls it under Feed.mu.
func (s *Subscription) reset(loss *LossError, reached Position, seq uint64) (leave bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	sameEpoch := s.epoch == loss.State.Epoch
	at := Position{s.cursor, s.epoch}
	if s.live {
		at.Seq = max(s.offered, reached.Seq)
	}
	switch {
	case sameEpoch && loss.Reason != Future && at.Seq >= seq:
		return false // it is past what was lost
	case !s.live && s.jump == nil && sameEpoch && at.Seq <= loss.State.LastSeq:
		return false // it finds out by itself: the window no longer covers it
	}
	gap := newGap(loss.Reason, at.String(), loss.State, seq)
	if s.jump != nil {
		gap = s.jump.gap.merge(gap)
	}
	s.jump = &jump{gap: gap, epoch: loss.State.Epoch, cursor: seq}
	leave, s.live = s.live, false
	return leave
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
	s.feed.forget(s)
	s.replay.close()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// indexFilters are the filters as the index wants them.
func (s *Subscription) indexFilters() []string {
	if len(s.filters) == 0 {
		return []string{">"}
	}
	return s.filters
}
