package feed

// resync is where a subscription continues after a reset of the tail, once its queue is empty.
type resync struct {
	gap *Gap // nil where it lost nothing; gap.Continues is to
	to  place
}

// reset adapts the subscription to a reset of the tail, which continues after seq. reached is the end that
// the tail had read before. The tail calls it under Feed.mu.
//
// Only two kinds of subscription are moved. A live subscription has no other way to detect the
// loss. A subscription that is behind compares its position with the stream when it reads the store, which
// finds deletions, retention and another incarnation; it does not find that a stream lost its
// end and has grown again, so a position that this concerns is moved, or announced as reused.
// A loss that meets a subscription twice before it is polled follows the same rule from the
// position that the first one moved it to: nothing that is stored behind that is skipped.
func (s *Subscription) reset(loss *LossError, reached Position, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == Starting {
		return // finishStart makes up for it
	}
	at := s.continuesLocked()
	if s.state == Live {
		at.seq = max(s.enqueuedTo, reached.Seq)
	}
	same := at.same(loss.State.incarnation())
	if !same || loss.lostEnd() {
		s.queue.markStale()
	}
	var gap *Gap
	switch {
	case s.state != Live && (!same || !loss.lostEnd()), same && !loss.lostEnd() && at.seq >= seq:
		return
	case !same, !loss.lostEnd():
		gap = newGap(loss.Reason, at.position().String(), loss.State, seq)
	default: // of the sequences that an earlier loss concerned, it has the later events
		gap = gapIfReused(at, loss.reusedRange(), loss.State.LastSeq, loss.State)
	}
	at.created = loss.State.Created
	s.resyncLocked(gap, at)
	s.wakeLocked()
}

// gapIfReused returns the gap for a client at a sequence that the stream gives twice: it lies
// beyond the end, or within the range that was reused. end is the stream's last sequence.
func gapIfReused(at place, reused reusedRange, end uint64, now State) *Gap {
	switch {
	case at.seq > end:
		return newGap(Future, at.position().String(), now, end)
	case reused.contains(at.seq):
		return newGap(Possible, at.position().String(), now, max(at.seq, now.FirstSeq-min(now.FirstSeq, 1)))
	}
	return nil
}

// continuesLocked is where the subscription continues once everything pending was returned.
func (s *Subscription) continuesLocked() place {
	if s.state == Resyncing {
		return s.resync.to
	}
	return place{s.incarnation, max(s.cursor, s.enqueuedTo)}
}

// resyncLocked continues behind a gap, or at the place to where there is none, once everything
// pending was returned. The result of a Fetch under way is void.
func (s *Subscription) resyncLocked(gap *Gap, to place) {
	if s.state == Live && len(s.queue.frames) == 0 {
		s.cursor = max(s.cursor, to.seq) // until the gap is returned, Position does not fall
	}
	if s.state == Resyncing {
		gap = s.resync.gap.merge(gap)
	}
	if gap != nil {
		to.epoch, to.seq = gap.Continues.Epoch, gap.Continues.Seq
	}
	s.setStateLocked(Resyncing)
	s.resync = &resync{gap: gap, to: to}
}

// applyResyncLocked moves the cursor, and gives up the replay of before. It returns the gap, if any.
func (s *Subscription) applyResyncLocked() *Gap {
	r := s.resync
	if r.gap != nil {
		s.holdAckedLocked()
	}
	s.placeLocked(r.to)
	s.setStateLocked(CatchingUp)
	s.replay.close()
	s.replay.announced = announcedDeletions{}
	return r.gap
}

// placeLocked moves the cursor. Nothing is pending.
func (s *Subscription) placeLocked(at place) {
	s.incarnation, s.cursor, s.enqueuedTo = at.incarnation, at.seq, at.seq
}

// finishStart ends the state Starting, and makes up for a reset that fell into it: it may have given
// the sequences of the position, or of the replay, another meaning. A position that a client named may
// also be one of those that were reused before.
func (s *Subscription) finishStart(named bool) {
	f := s.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unacked = false
	rewound := s.replay.rewinds != f.reused.times
	if rewound {
		s.replay.close()
	}
	if s.replay.reader != nil {
		s.setStateLocked(Replaying)
	} else {
		s.setStateLocked(CatchingUp)
	}
	announced := s.startInfo.Gap != nil || !named
	if !s.same(f.incarnation) || !f.reused.contains(s.cursor) || announced && !rewound {
		return
	}
	at, state, high := place{s.incarnation, s.cursor}, f.lastStateLocked(), f.window.high
	possible := newGap(Possible, at.position().String(), state, s.cursor)
	switch {
	case rewound && s.cursor > f.endLocked(): // the events that the tail reads next are new to the client
		s.resyncLocked(newGap(Future, at.position().String(), state, high), at)
	case s.startInfo.Gap == nil:
		s.startInfo.Gap = possible
	default:
		s.resyncLocked(possible, at)
	}
}

// endLocked is the end of the stream as far as it is known: the tail may still have to reach it.
func (f *Feed) endLocked() uint64 { return max(f.window.high, f.resetEnd) }

// lastStateLocked is the stream as the leader reported it last, as far as gaps need it.
func (f *Feed) lastStateLocked() State {
	return State{Epoch: f.epoch, Created: f.created, FirstSeq: max(f.first, 1)}
}
