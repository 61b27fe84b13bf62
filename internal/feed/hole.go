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

// gapRounds knows the subscriptions that wait for the next gap round.
type gapRounds struct {
	round atomic.Uint32

	mu      sync.Mutex
	waiting []*Subscription
}

func (g *gapRounds) wait(s *Subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, s)
}

func (g *gapRounds) next() (waiting []*Subscription) {
	g.round.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting, g.waiting = g.waiting, nil
	return waiting
}

// skip notes that the tail goes on behind sequences that the whole stream skips: they were deleted
// before the tail could read them, and may have matched any subscription. The window covers them,
// as positions before them get a gap. It costs no look at the subscriptions: those that are offered
// the next event leave the index, and announceGaps finds the others.
func (f *Feed) skip(next, upTo uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.window
	before := w.high
	w.high = upTo
	w.deletions.skip(upTo)
	f.rememberHoleLocked(unannounced{w.deletions.round, before})
	f.losses.add(Possible)
	f.reachedLocked()
	f.opts.Logger.Debug("events were deleted before they were read", "from", next, "to", upTo)
}

// announceGaps begins a gap round: it takes live subscriptions to which a hole was not announced
// from the index, so that they find it, and wakes those that have waited for the round.
func (f *Feed) announceGaps() {
	for _, s := range f.rounds.next() {
		s.wakeUp()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announceHolesLocked()
}

func (f *Feed) announceHolesLocked() {
	skipped := f.window.deletions.skipped
	if skipped.round <= f.announced {
		return
	}
	f.announced = skipped.round
	for _, s := range f.subs.All() {
		if s.leaveAtHole(skipped) {
			f.index.remove(s)
		}
	}
	f.holes = f.holes[:0]
}

// unannounced is a hole that was not announced to all, and where the tail was before it.
type unannounced struct{ round, before uint64 }

// maxUnannounced bounds the holes that are kept apart. There are many in a second where a stream
// replaces its events faster than the tail reads them.
const maxUnannounced = 64

func (f *Feed) rememberHoleLocked(hole unannounced) {
	if n := len(f.holes); n == maxUnannounced {
		hole.before = f.holes[n-1].before // a position before both is right for both
		f.holes = f.holes[:n-1]
	}
	f.holes = append(f.holes, hole)
}

// beforeHoleLocked is where the tail was before the first hole of a round after announced.
func (f *Feed) beforeHoleLocked(announced uint64) uint64 {
	for _, hole := range f.holes {
		if hole.round > announced {
			return hole.before
		}
	}
	return f.window.high
}

// leaveAtHole ends live delivery before a hole that was not announced. Subscription.join goes on
// there. It returns whether the subscription must leave the index. The feed is locked.
func (s *Subscription) leaveAtHole(hole deletion) (leave bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaveAtHoleLocked(hole, s.feed.beforeHoleLocked(s.announced))
}

func (s *Subscription) leaveAtHoleLocked(hole deletion, before uint64) (leave bool) {
	switch {
	case !s.live || s.announced >= hole.round:
		return false
	case s.offered >= hole.seq: // it came from a node whose tail was faster
		s.announced = hole.round
		return false
	}
	s.live = false
	s.offered = max(s.offered, before)
	s.catchUpCursorLocked()
	s.signal()
	return true
}

// catchUpCursorLocked moves the cursor to where the tail looked on behalf of the subscription.
func (s *Subscription) catchUpCursorLocked() {
	if len(s.pending) == 0 && !s.missed {
		s.cursor = max(s.cursor, s.offered)
	}
}

// waitsForRoundLocked reports that a gap waits for the next round.
func (s *Subscription) waitsForRoundLocked() bool {
	return s.waiting && s.gapRound == s.feed.rounds.round.Load()
}

// gapTurnLocked reports whether a gap may be sent in this round, and reserves it. Where not, the
// subscription waits for the next.
func (s *Subscription) gapTurnLocked() bool {
	round := s.feed.rounds.round.Load()
	if s.gapRound != round {
		s.gapRound, s.waiting = round, false
		return true
	}
	if !s.waiting {
		s.waiting = true
		s.feed.rounds.wait(s)
	}
	return false
}

func (s *Subscription) wakeUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = false
	if !s.closed {
		s.signal()
	}
}

// missedAfter returns the gap of a position that the window covers: something after it was deleted
// that matched, or may have.
func (s *Subscription) missedAfter(requested string) *Gap {
	f := s.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &f.window.deletions
	if s.epoch != f.epoch || !d.matches(s.cursor, s.announced, s.filters) {
		return nil
	}
	s.announced, s.gapRound = d.round, f.rounds.round.Load()
	return newGap(Possible, requested, f.lastStateLocked(), s.cursor)
}

// ignoreDeletions makes what was deleted until now no gap: the subscription begins without a claim
// to have anything.
func (s *Subscription) ignoreDeletions() {
	s.feed.mu.RLock()
	defer s.feed.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announced = s.feed.window.deletions.round
}

// takeWithout is take where frames may have been removed from the stream that wait to be sent. They
// are not, and where they were a gap comes before what is left.
func (s *Subscription) takeWithout(room int) (d Delivery, wait bool, err error) {
	f := s.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropRemovedLocked()
	switch {
	case s.epoch != f.epoch || !sameIncarnation(s.created, f.created): // the gap that follows answers for all
		s.missed = false
		s.dropPendingLocked()
		if s.jump != nil && s.jump.gap != nil {
			s.jump.gap.Requested = Position{s.cursor, s.epoch}.String()
		}
	case len(s.pending) > 0 && (s.pending[0].Seq < f.floor.Load() || s.staleLocked()):
		if s.live {
			f.index.remove(s)
		}
		s.live = false // what was deleted among them shows when it catches up from its cursor
		s.dropPendingLocked()
		s.jumpFromCursorLocked()
	}
	if !s.missed || s.closed {
		return s.takeLocked(room)
	}
	if !s.gapTurnLocked() {
		return Delivery{}, true, nil
	}
	s.missed = false
	s.holdLocked()
	return Delivery{Gap: newGap(Possible, Position{s.cursor, s.epoch}.String(), f.lastStateLocked(), s.cursor)}, s.live, nil
}

// jumpFromCursorLocked replaces a jump that was to follow pending events which were dropped: it would
// skip those that are still stored.
func (s *Subscription) jumpFromCursorLocked() {
	f, at := s.feed, Position{s.cursor, s.epoch}
	if s.jump == nil {
		return
	}
	s.jump = nil
	switch {
	case !f.reused.contains(s.cursor): // it finds the rest when it reads the log
	case s.cursor > f.endLocked():
		s.jumpLocked(newGap(Future, at.String(), f.lastStateLocked(), f.window.high), at, f.created)
	default:
		s.jumpLocked(newGap(Possible, at.String(), f.lastStateLocked(), s.cursor), at, f.created)
	}
}

func (s *Subscription) dropRemovedLocked() {
	s.removals = s.feed.removals.Load()
	kept := s.pending[:0]
	for _, f := range s.pending {
		if f.removed.Load() {
			s.pendingBytes -= f.size
			continue
		}
		kept = append(kept, f)
	}
	if len(kept) < len(s.pending) {
		s.missed = true
		clear(s.pending[len(kept):])
		s.pending = kept
	}
}
