package feed

// reusedRange is the range of sequences that the stream has assigned twice within the epoch: those
// greater than above, up to upTo. The stream lost its end, or was created again with the same epoch. A
// client with one of these sequences as its position may have received the first event with that number or
// the second. The position does not distinguish them, so the client may miss events.
type reusedRange struct {
	above, upTo uint64
	times       uint64 // how often an end was lost within an incarnation, since the start
}

// after returns the range after a loss in epoch.
func (r reusedRange) after(epoch string, loss *LossError) reusedRange {
	switch {
	case loss.State.Epoch != epoch:
		return reusedRange{times: r.times}
	case !loss.lostEnd() && loss.Reason != NewEpoch:
		return r
	}
	now := loss.reusedRange()
	now.times = r.times
	if loss.lostEnd() { // else subscriptions compare State.Created
		now.times++
	}
	if r.upTo > 0 {
		now.above, now.upTo = min(now.above, r.above), max(now.upTo, r.upTo)
	}
	return now
}

// reusedRange returns the sequences that this loss has given another meaning, without earlier losses.
func (e *LossError) reusedRange() reusedRange { return reusedRange{above: e.Kept, upTo: e.From - 1} }

func (r reusedRange) contains(seq uint64) bool { return r.above < seq && seq <= r.upTo }

// lostEnd reports that the stream lost its end within the incarnation.
func (e *LossError) lostEnd() bool {
	return e.Reused || e.Reason == Future
}
