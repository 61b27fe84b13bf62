package feed

import (
	"context"
	"sync"
	"time"
)

// Delivery is the next part of a subscription: a gap, frames after it, or both.
type Delivery struct {
	Gap    *Gap
	Frames []*Frame // valid until the next call
}

// Empty reports that there is nothing to send.
func (d Delivery) Empty() bool { return d.Gap == nil && len(d.Frames) == 0 }

// Waker wakes the connection of a subscription: Poll may have something to send.
//
// Wake is called while the feed is locked. It must return at once and not call the feed.
type Waker interface{ Wake() }

// Subscription is one connection's progress through a feed. The package documentation has its states.
//
// One goroutine at a time, the owner, calls Poll, Fetch, Next, Suspend and Close. The other methods
// are safe for concurrent use.
type Subscription struct {
	feed      *Feed
	filters   []string
	startInfo StartInfo
	replay    replay // of the owner
	ends      *ends  // of the owner; nil without SubscribeOptions.UntilEnd
	slot      int32  // of Feed.subs

	mu    sync.Mutex
	state SubscriptionState // changed by setStateLocked alone
	waker Waker             // nil for none
	wake  chan struct{}     // of wait; nil until it is needed

	incarnation          // in which the following sequences have their meaning
	cursor      uint64   // everything that matches up to here was returned
	enqueuedTo  uint64   // everything that matches up to here was returned or is pending
	unacked     bool     // the latest Delivery may not be sent yet
	acked       Position // where the client was before that
	queue       queue
	resync      *resync // of the state Resyncing; nil in all others

	verified  uint64 // Feed.resets when the leader confirmed the cursor
	announced uint64 // the round up to which deletions were announced, or do not concern it
	removals  uint64 // Feed.removals when the queue was last compared with it
	gapTurn   gapTurn
}

// State returns the present state.
func (s *Subscription) State() SubscriptionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// PendingSince returns when the first pending event was stored, and whether the subscription has
// caught up.
//
//   - since is in nanoseconds since 1970, as in [Frame.Stored]; 0 where nothing is pending.
//   - A subscription that overflowed has dropped its pending events. It has not caught up then.
func (s *Subscription) PendingSince() (since int64, caughtUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue.frames) > 0 {
		since = s.queue.frames[0].stored
	}
	return since, s.state == Live || s.gapTurn.waiting
}

// Filters returns the merged subjects of the subscription; empty means all.
func (s *Subscription) Filters() []string { return s.filters }

// StartInfo returns how the subscription began.
func (s *Subscription) StartInfo() StartInfo { return s.startInfo }

// Position returns the position behind every acknowledged Delivery, for a client to resume.
//
// Where nothing is pending, that is the end that the tail has read: so the position of a client whose
// subjects are quiet does not fall out of retention. It never falls, except behind a gap.
func (s *Subscription) Position() Position {
	s.feed.mu.RLock()
	defer s.feed.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.unacked:
		return s.acked
	case s.state != Live || len(s.queue.frames) > 0 || s.queue.missed:
		return s.positionLocked()
	}
	high := s.feed.window.high
	if s.announced < s.feed.window.deletions.skipped.round {
		high = min(high, s.feed.beforeDeletedLocked(s.announced)) // a client that is cut off now gets the gap when it resumes
	}
	return Position{max(s.cursor, high), s.epoch}
}

// positionLocked is the cursor as a position.
func (s *Subscription) positionLocked() Position { return Position{s.cursor, s.epoch} }

// Notify sets the Waker, and calls w.Wake once before it returns.
func (s *Subscription) Notify(w Waker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waker = w
	w.Wake()
}

// wakeLocked wakes the owner: the engine's connection through its Waker, a goroutine in wait through
// the channel. The package documentation lists what calls it.
func (s *Subscription) wakeLocked() {
	if s.waker != nil {
		s.waker.Wake()
	}
	select {
	case s.wake <- struct{}{}:
	default: // no goroutine waits, or a token is there
	}
}

// wait blocks until the subscription is woken, or after fires.
func (s *Subscription) wait(ctx context.Context, after <-chan time.Time) error {
	s.prepareWait()
	select {
	case <-s.wake:
		return nil
	case <-after:
		return nil
	case <-s.feed.done:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// prepareWait makes the channel of wait. Each event after this call wakes the next wait.
func (s *Subscription) prepareWait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
}

// Poll returns the next Delivery without blocking: frames of about room bytes, at least one.
//
//   - It acknowledges the previous Delivery of Poll and Fetch.
//   - Empty and not behind: there is nothing until the Waker is called.
//   - Empty and behind: Fetch must read the store.
//   - The error is ErrClosed, after Close or when the feed has stopped, or ErrComplete.
func (s *Subscription) Poll(room int) (d Delivery, behind bool, err error) {
	d, behind, err = s.poll(room)
	if err == nil && !behind {
		behind, err = s.pollEnds(d)
	}
	return d, behind, err
}

func (s *Subscription) poll(room int) (d Delivery, behind bool, err error) {
	s.replay.ack()
	d, next := s.dequeuePending(room)
	switch {
	case next == pollClosed, d.Empty() && s.feed.isDone():
		return Delivery{}, false, ErrClosed
	case !d.Empty(), next == pollWaits:
		return d, false, nil
	case next == pollStore:
		return Delivery{}, true, nil
	}
	d, covered := s.readWindow(room)
	return d, !covered, nil
}

// Fetch returns the next Delivery from the store, for a subscription behind the window.
//
//   - It acknowledges the previous Delivery of Poll and Fetch.
//   - It blocks until the store has answered, ctx ends, or the feed has stopped (ErrClosed). It waits
//     until a store that fails works again.
//   - An empty Delivery without an error requires another Poll.
func (s *Subscription) Fetch(ctx context.Context) (d Delivery, err error) {
	s.ack()
	s.replay.ack()
	if s.ends != nil && s.ends.lookUp {
		return Delivery{}, s.lookUpEnds(ctx)
	}
	if s.replay.reader != nil {
		d, err = s.continueReplay(ctx)
	} else {
		d, err = s.beginReplay(ctx)
	}
	s.ends.returned(d)
	return d, err
}

// nextBytes is how much Next returns at a time.
const nextBytes = 1 << 20

// Next combines Poll and Fetch, for a goroutine of its own. It blocks until there is
// something to send, ctx ends, or the subscription has ended (ErrClosed, ErrComplete).
func (s *Subscription) Next(ctx context.Context) (Delivery, error) {
	s.prepareWait()
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

func (s *Subscription) ack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unacked = false
}

// holdAckedLocked keeps the position from before the Delivery that is about to be returned.
func (s *Subscription) holdAckedLocked() {
	if !s.unacked {
		s.unacked, s.acked = true, s.positionLocked()
	}
}

// enqueue appends a frame to the queue and wakes the connection. The tail calls it under Feed.mu.
//
// It returns false if the subscription does not need the frame: it is not live any more, its position is
// ahead of the tail, or the frame was enqueued already because two filters match. If the queue overflows,
// or a gap must come first, the subscription leaves the index and reads the frame later.
func (s *Subscription) enqueue(f *Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Seq <= s.enqueuedTo || s.state != Live {
		return false
	}
	if deleted := s.feed.window.deletions.skipped; s.announced < deleted.round && s.leaveBeforeDeletedLocked(deleted) {
		return true
	}
	q, opts, n := &s.queue, &s.feed.opts, len(s.queue.frames)
	if n > 0 && (n >= opts.MaxPending || q.bytes+f.Size() > opts.MaxPendingBytes) { // one frame always fits
		s.dropPendingLocked()
		s.setStateLocked(CatchingUp)
		s.wakeLocked()
		return true
	}
	if n == 0 {
		if !q.missed { // else a client that is cut off now gets the gap when it resumes
			s.cursor = max(s.cursor, f.Seq-1) // nothing before it matched: Position does not fall
		}
		q.staleSince = 0
	}
	q.frames = append(q.frames, f)
	q.bytes += f.Size()
	s.enqueuedTo = f.Seq
	s.wakeLocked()
	return true
}

// dropPendingLocked empties the queue. The cursor stays: the subscription catches up from there.
func (s *Subscription) dropPendingLocked() {
	s.queue.drop()
	s.enqueuedTo = s.cursor
}

// pollStep is the next step of Poll when nothing is pending.
type pollStep uint8

const (
	pollWindow pollStep = iota // read the window
	pollStore                  // Fetch reads the store
	pollWaits                  // nothing until the Waker is called
	pollClosed
)

// dequeuePending acknowledges the previous Delivery. It returns pending frames, else the gap of a
// resync, and the next step when there is neither.
func (s *Subscription) dequeuePending(room int) (d Delivery, next pollStep) {
	s.feed.expireDue()
	s.mu.Lock()
	s.unacked = false
	q := &s.queue
	if q.missed || s.removals != s.feed.removals.Load() || len(q.frames) > 0 && (q.frames[0].Seq < s.feed.floor.Load() || q.stale()) {
		s.mu.Unlock()
		s.feed.mu.RLock()
		s.mu.Lock()
		gap, wait := s.checkRemovedLocked()
		s.feed.mu.RUnlock()
		if gap != nil || wait {
			s.mu.Unlock()
			return Delivery{Gap: gap}, pollWaits
		}
	}
	switch {
	case s.state == Closed:
		next = pollClosed
	case len(q.frames) > 0:
		s.cursor = q.frames[0].Seq - 1 // the tail has read everything before it
		s.holdAckedLocked()
		d.Frames = q.dequeue(room)
		s.cursor = d.Frames[len(d.Frames)-1].Seq
	case s.state == Resyncing:
		d.Gap = s.applyResyncLocked()
	case s.state == Live || s.gapTurn.waiting && s.gapTurn.sentIn == s.feed.rounds.round.Load():
		next = pollWaits
	case s.state == Replaying || s.state == Suspended:
		next = pollStore
	}
	s.mu.Unlock()
	return d, next
}

// Close ends the subscription and its replay. It does not block on the store.
func (s *Subscription) Close() {
	f := s.feed
	f.mirrorWait.remove(s)
	f.mu.Lock()
	f.subs.Remove(s)
	s.mu.Lock()
	wasLive := s.state == Live
	s.setStateLocked(Closed)
	s.queue = queue{}
	s.wakeLocked()
	s.mu.Unlock()
	f.mu.Unlock()
	if wasLive { // its cost rises with the number of filters: the tail does not wait for it
		f.index.remove(s)
	}
	s.replay.close()
	s.replay.release()
}
