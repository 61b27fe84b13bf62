package feed

// jump moves a subscription to where it continues after a reset of the tail.
type jump struct {
	gap  *Gap // nil where it lost nothing; gap.Continues is to
	to   Position
	born int64
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
func (s *Subscription) reset(loss *LossError, reached Position, seq uint64, reused reusedRange) (leave bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		return false // finishOpening makes up for it
	}
	at, born := s.nextLocked()
	if s.live {
		at.Seq = max(s.offered, reached.Seq)
	}
	same := at.Epoch == loss.State.Epoch && sameBirth(born, loss.State.Born)
	var gap *Gap
	switch {
	case !s.live && (!same || !loss.rewound()), same && !loss.rewound() && at.Seq >= seq:
		return false
	case !same, !loss.rewound(), at.Seq > loss.State.LastSeq:
		gap = newGap(loss.Reason, at.String(), loss.State, seq)
	case reused.contains(at.Seq):
		gap = newGap(Possible, at.String(), loss.State, max(at.Seq, loss.State.FirstSeq-min(loss.State.FirstSeq, 1)))
	}
	defer s.signal()
	return s.jumpLocked(gap, at, loss.State.Born)
}

// nextLocked is where the subscription continues once it has returned what is pending.
func (s *Subscription) nextLocked() (at Position, born int64) {
	if s.jump != nil {
		return s.jump.to, s.jump.born
	}
	return Position{s.cursor, s.epoch}, s.born
}

// jumpLocked continues behind a gap, or at a position where there is none, once what is pending
// was returned. What a Fetch under way returns is void. It returns whether the subscription
// must leave the index.
func (s *Subscription) jumpLocked(gap *Gap, to Position, born int64) (leave bool) {
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

// finishOpening makes the subscription known to resets. One that fell into the opening may have
// given the sequences of the opening, or of its replay, another meaning.
func (s *Subscription) finishOpening() {
	f := s.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
	if s.replay.reader != nil && s.replay.times != f.reused.times {
		s.replay.close()
	}
	if s.opening.Gap != nil || s.epoch != f.epoch || !f.reused.contains(s.cursor) {
		return
	}
	s.opening.Gap = newGap(Possible, s.opening.ID, f.lastStateLocked(), s.cursor)
}

// lastStateLocked is the stream as the leader described it last, as far as gaps need it.
func (f *Feed) lastStateLocked() State {
	return State{Epoch: f.epoch, Born: f.born, FirstSeq: max(f.first, 1)}
}
