package feed

import "context"

// detectLoss returns the gap for events that retention or deletion removed before a replay read them.
// Where it is not known whether trimmed events had been read before, the reason is Possible. The stream
// may be another incarnation by the time that deletions are looked for. Then same is false, and the
// batch is not delivered.
func (s *Subscription) detectLoss(ctx context.Context, read Batch) (gap *Gap, same bool, err error) {
	r, now := &s.replay, read.State
	if r.last || s.cursor >= r.to {
		return nil, true, nil
	}
	deleted, same, err := s.deletedIn(ctx, now)
	if err != nil || !same {
		return nil, same, err
	}
	requested := s.positionLocked().String()
	switch {
	case now.FirstSeq > s.cursor+1:
		reason, before := Trimmed, min(now.FirstSeq-1, r.to)
		if len(read.Events) > 0 {
			first := read.Events[0].Seq
			if before = first - 1; first < now.FirstSeq {
				reason = Possible
			}
		}
		if deleted {
			reason = Possible
		}
		return newGap(reason, requested, now, before), true, nil
	case deleted:
		return newGap(Possible, requested, now, s.cursor), true, nil
	}
	return nil, true, nil
}

// deletedIn looks for deletions from the inside of the rest of a replay, where the stream shows others
// than were announced. The number alone proves nothing: deletions that have left at the front, or were
// undone where the stream lost its end, may have been replaced by as many new ones.
func (s *Subscription) deletedIn(ctx context.Context, now State) (deleted, same bool, err error) {
	r := &s.replay
	if now.Deleted == 0 || now.Deleted == r.known.Deleted && now.FirstSeq == r.known.FirstSeq && now.LastSeq >= r.known.LastSeq {
		return false, true, nil
	}
	from := max(s.cursor+1, now.FirstSeq)
	if from <= r.to {
		if deleted, err = s.feed.store.HasDeleted(ctx, from, r.to); err != nil {
			return false, true, err
		}
	}
	if !deleted { // of which incarnation were they?
		state, err := s.feed.store.State(ctx)
		if err != nil || !s.same(state.incarnation()) {
			return false, false, err
		}
	}
	r.known = now
	return deleted, true, nil
}
