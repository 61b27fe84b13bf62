package feed

import (
	"sync"
	"sync/atomic"
	"time"
)

// gapPause is the length of a gap round. A connection is sent at most one gap for deletions in each
// round: clients respond to a gap by fetching everything again. Later deletions wait, with the events
// after them, for the next round and are announced together.
const gapPause = time.Second

// gapRounds has the subscriptions that wait for the next gap round.
type gapRounds struct {
	round atomic.Uint32

	mu      sync.Mutex
	waiting []*Subscription
}

func (g *gapRounds) next() (waiting []*Subscription) {
	g.round.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting, g.waiting = g.waiting, nil
	return waiting
}

// gapTurn is the part of a subscription in the gap rounds. Subscription.mu guards it.
type gapTurn struct {
	sentIn  uint32 // the round in which the last gap for deletions was sent
	waiting bool   // in gapRounds.waiting, with a gap to send
}

// reserveGapTurnLocked reports whether a gap may be sent in this round, and reserves it. Where not,
// the subscription is woken in the next round.
func (s *Subscription) reserveGapTurnLocked() bool {
	t, rounds := &s.gapTurn, &s.feed.rounds
	round := rounds.round.Load()
	if t.sentIn != round {
		*t = gapTurn{sentIn: round}
		return true
	}
	if !t.waiting {
		t.waiting = true
		rounds.mu.Lock()
		defer rounds.mu.Unlock()
		rounds.waiting = append(rounds.waiting, s)
	}
	return false
}

// skipDeleted moves the tail behind sequences that the stream does not have: they were deleted
// before the tail read them, and may have matched any subscription. The window covers them, as
// positions before them get a gap. The subscriptions are not visited: those that the next event
// matches leave the index, and announceGaps finds the others.
func (f *Feed) skipDeleted(next, upTo uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.window
	skipped := unannounced{before: w.high}
	w.high = upTo
	w.deletions.skip(upTo)
	skipped.round = w.deletions.round
	if n := len(f.unannounced); n == maxUnannounced {
		skipped.before = f.unannounced[n-1].before // merged: a position before both ranges is correct for both
		f.unannounced = f.unannounced[:n-1]
	}
	f.unannounced = append(f.unannounced, skipped)
	f.losses.add(Possible)
	f.reachedLocked()
	f.opts.Logger.Debug("feed: events were deleted before they were read; subscriptions get a gap", "from", next, "to", upTo)
}

// announceGaps begins a gap round. It wakes the subscriptions that have waited for the round. It removes
// live subscriptions from the index if deletions were not announced to them, so that they read the window,
// where they find the gap.
func (f *Feed) announceGaps() {
	for _, s := range f.rounds.next() {
		s.mu.Lock()
		s.gapTurn.waiting = false
		if s.state != Closed {
			s.wakeLocked()
		}
		s.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announceDeletedLocked()
}

func (f *Feed) announceDeletedLocked() {
	skipped := f.window.deletions.skipped
	if skipped.round <= f.announced {
		return
	}
	f.announced = skipped.round
	for _, s := range f.subs.All() {
		s.mu.Lock()
		if s.state == Live && s.announced < skipped.round {
			s.leaveBeforeDeletedLocked(skipped)
		}
		s.mu.Unlock()
	}
	f.unannounced = f.unannounced[:0]
}

// unannounced is a range of deleted sequences that was not announced to all, and the end that the
// tail had read before it.
type unannounced struct{ round, before uint64 }

// maxUnannounced bounds the ranges that are kept apart. There are many in a second where a stream
// replaces its events faster than the tail reads them.
const maxUnannounced = 64

// beforeDeletedLocked is the end that the tail had read before the first range of a round after announced.
func (f *Feed) beforeDeletedLocked(announced uint64) uint64 {
	for _, u := range f.unannounced {
		if u.round > announced {
			return u.before
		}
	}
	return f.window.high
}

// leaveBeforeDeletedLocked ends live delivery before deleted sequences that were not announced.
// Subscription.readWindow continues there. It returns false where they do not concern the subscription. The
// feed is locked.
func (s *Subscription) leaveBeforeDeletedLocked(deleted deletion) bool {
	if s.enqueuedTo >= deleted.seq { // the position came from a node whose tail was faster
		s.announced = deleted.round
		return false
	}
	s.setStateLocked(CatchingUp)
	s.enqueuedTo = max(s.enqueuedTo, s.feed.beforeDeletedLocked(s.announced))
	s.advanceCursorLocked()
	s.wakeLocked()
	return true
}

// advanceCursorLocked moves the cursor to the end that the tail has read for the subscription.
func (s *Subscription) advanceCursorLocked() {
	if len(s.queue.frames) == 0 && !s.queue.missed {
		s.cursor = max(s.cursor, s.enqueuedTo)
	}
}

// gapAfterStart returns the gap of a position that the window covers, where something after it was
// deleted that matched, or may have. It counts as the gap of this round.
func (s *Subscription) gapAfterStart(requested string) *Gap {
	f := s.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &f.window.deletions
	if s.epoch != f.epoch || !d.matches(s.cursor, s.announced, s.filters) {
		return nil
	}
	s.announced, s.gapTurn.sentIn = d.round, f.rounds.round.Load()
	return newGap(Possible, requested, f.lastStateLocked(), s.cursor)
}

// checkRemovedLocked drops pending frames that the stream may no longer have. Where some were dropped
// it returns the gap that comes before what is left, or true while that waits for its round. The feed
// is locked.
func (s *Subscription) checkRemovedLocked() (gap *Gap, wait bool) {
	f, q := s.feed, &s.queue
	s.removals = f.removals.Load()
	q.dropRemoved()
	switch {
	case !s.same(f.incarnation): // the gap of the resync that follows covers everything
		s.dropPendingLocked()
		if s.state == Resyncing && s.resync.gap != nil {
			s.resync.gap.Requested = s.positionLocked().String()
		}
	case len(q.frames) > 0 && (q.frames[0].Seq < f.floor.Load() || q.stale()):
		s.dropPendingLocked()
		s.catchUpFromCursorLocked() // it finds there which of them were deleted
	}
	if !q.missed || s.state == Closed {
		return nil, false
	}
	if !s.reserveGapTurnLocked() {
		return nil, true
	}
	q.missed = false
	s.holdAckedLocked()
	return newGap(Possible, s.positionLocked().String(), f.lastStateLocked(), s.cursor), false
}

// catchUpFromCursorLocked continues at the cursor after pending events were dropped. A resync that was
// to follow them would skip those that are still stored.
func (s *Subscription) catchUpFromCursorLocked() {
	f, resyncing := s.feed, s.state == Resyncing
	if s.state == Live || resyncing {
		s.setStateLocked(CatchingUp)
	}
	if !resyncing || !f.reused.contains(s.cursor) { // it finds the rest when it reads the store
		return
	}
	at := place{incarnation{s.epoch, f.created}, s.cursor}
	if s.cursor > f.endLocked() {
		s.resyncLocked(newGap(Future, at.position().String(), f.lastStateLocked(), f.window.high), at)
	} else {
		s.resyncLocked(newGap(Possible, at.position().String(), f.lastStateLocked(), s.cursor), at)
	}
}
