package feed

import "time"

// jump moves a subscription to where it continues after a reset of the tail.
type jump struct {
	gap  *Gap // nil where it lost nothing; gap.Continues is to
	to   Position
	born int64
}

// staleFor is how long pending events that may no longer be stored are still sent to clients that
// read. With the time that the tail takes to notice it, that is within two seconds of their removal.
const staleFor = 100 * time.Millisecond

// markStaleLocked records that the stream was recreated, or lost its end, while events were pending.
func (s *Subscription) markStaleLocked() {
	if len(s.pending) > 0 && s.staleSince == 0 {
		s.staleSince = time.Since(clockBase)
	}
}

// staleLocked reports that pending events must not be sent any more.
func (s *Subscription) staleLocked() bool {
	return s.staleSince != 0 && time.Since(clockBase)-s.staleSince > staleFor
}

// reset informs the subscription that the tail continues after seq behind a loss, having
// reached the position before it. It returns whether the subscription must leave the index.
// The tail calls it under Feed.mu.
//
// Only two kinds of subscription are moved. One that is live has no other way to learn of the
// loss. One that is behind compares its position with the stream when it reads the log, which
// finds deletions, retention and another incarnation; it does not find that a stream lost its
// end and has grown again, so a position that this concerns is moved, or announced as reused.
// A loss that meets a subscription twice before it is polled follows the same rule from the
// position that the first one moved it to: nothing that is stored behind that is skipped.
func (s *Subscription) reset(loss *LossError, reached Position, seq uint64) (leave bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		return false // finishOpening makes up for it
	}
	at, born := s.nextLocked()
	if s.live {
		at.Seq = max(s.offered, reached.Seq)
	}
	same := at.Epoch == loss.State.Epoch && sameIncarnation(born, loss.State.Created)
	if !same || loss.lostEnd() {
		s.markStaleLocked()
	}
	var gap *Gap
	switch {
	case !s.live && (!same || !loss.lostEnd()), same && !loss.lostEnd() && at.Seq >= seq:
		return false
	case !same, !loss.lostEnd():
		gap = newGap(loss.Reason, at.String(), loss.State, seq)
	case at.Seq > loss.State.LastSeq:
		gap = newGap(Future, at.String(), loss.State, loss.State.LastSeq)
	case loss.reusedRange().contains(at.Seq): // of those that an earlier loss concerned, it has the later ones
		gap = newGap(Possible, at.String(), loss.State, max(at.Seq, loss.State.FirstSeq-min(loss.State.FirstSeq, 1)))
	}
	defer s.signal()
	return s.jumpLocked(gap, at, loss.State.Created)
}

// nextLocked is where the subscription continues once it has returned what is pending.
func (s *Subscription) nextLocked() (at Position, born int64) {
	if s.jump != nil {
		return s.jump.to, s.jump.born
	}
	return Position{max(s.cursor, s.offered), s.epoch}, s.created
}

// jumpLocked continues behind a gap, or where the subscription is when there is none, once what is
// pending was returned. What a Fetch under way returns is void. It returns whether the subscription
// must leave the index.
func (s *Subscription) jumpLocked(gap *Gap, to Position, born int64) (leave bool) {
	if s.live && len(s.pending) == 0 {
		s.cursor = max(s.cursor, to.Seq) // until the gap is taken, Position does not fall
	}
	if s.jump != nil {
		gap = s.jump.gap.merge(gap)
	}
	if gap != nil {
		to = gap.Continues
	}
	s.jump = &jump{gap: gap, to: to, born: born}
	leave, s.live = s.live, false
	return leave
}

// finishOpening makes the subscription known to resets, and makes up for one that fell into the
// opening: it may have given the sequences of the position, or of the replay, another meaning. A
// position that a client named may also be one of those that were given twice before.
func (s *Subscription) finishOpening(named bool) {
	f := s.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
	rewound := s.replay.times != f.reused.times
	if s.replay.reader != nil && rewound {
		s.replay.close()
	}
	announced := s.opening.Gap != nil || !named
	same := s.epoch == f.epoch && sameIncarnation(s.created, f.created)
	if !same || !f.reused.contains(s.cursor) || announced && !rewound {
		return
	}
	at, state, high := Position{s.cursor, s.epoch}, f.lastStateLocked(), f.window.high
	switch {
	case rewound && s.cursor > f.endLocked(): // what the tail reads next is new to the client
		s.jumpLocked(newGap(Future, at.String(), state, high), at, s.created)
	case s.opening.Gap == nil:
		s.opening.Gap = newGap(Possible, at.String(), state, s.cursor)
	default:
		s.jumpLocked(newGap(Possible, at.String(), state, s.cursor), at, s.created)
	}
}

// endLocked is the end of the stream as far as it is known: the tail may still have to reach it.
func (f *Feed) endLocked() uint64 { return max(f.window.high, f.resetEnd) }

// lastStateLocked is the stream as the leader described it last, as far as gaps need it.
func (f *Feed) lastStateLocked() State {
	return State{Epoch: f.epoch, Created: f.created, FirstSeq: max(f.first, 1)}
}
