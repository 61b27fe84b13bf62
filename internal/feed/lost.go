package feed

import "context"

// sameIncarnation reports that state is of the incarnation that the cursor is meant for.
func (s *Subscription) sameIncarnation(state State) bool {
	return s.epoch == state.Epoch && sameIncarnation(s.created, state.Created)
}

// detectLoss finds what retention or deletion took out of the way of a replay. Whether the events
// that were trimmed while a batch was read had been read before cannot always be said; where it
// cannot, the gap is a possible one. The stream may be another incarnation by the time that
// deletions are looked for; then same is false, and the batch is not delivered.
func (s *Subscription) detectLoss(ctx context.Context, read Batch) (gap *Gap, same bool, err error) {
	r, now := &s.replay, read.State
	if r.last || s.cursor >= r.to {
		return nil, true, nil
	}
	deleted, same, err := s.deletedIn(ctx, now)
	if err != nil || !same {
		return nil, same, err
	}
	requested := Position{s.cursor, s.epoch}.String()
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

// deletedIn looks for deletions from the inside of what is left of a replay, where the stream
// shows that there are others than were announced. Deletions that have left at the front do not
// make up for as many new ones, and neither do those that were undone where the stream lost its end.
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
		if err != nil || !s.sameIncarnation(state) {
			return false, false, err
		}
	}
	r.known = now
	return deleted, true, nil
}
