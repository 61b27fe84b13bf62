package feed

// reusedRange are the sequences above..upTo that the stream gave twice within the epoch, as the
// tail saw: the stream lost its end, or was created again with the epoch that it had. A client
// at one of them may have the first event of that number or the second, and so may miss some;
// its position does not distinguish them.
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

// reused returns the sequences that the loss alone has given another meaning.
func (e *LossError) reusedRange() reusedRange { return reusedRange{above: e.Kept, upTo: e.From - 1} }

func (r reusedRange) contains(seq uint64) bool { return r.above < seq && seq <= r.upTo }

// rewound reports that the stream lost its end within the incarnation.
func (e *LossError) lostEnd() bool {
	return e.Reused || e.Reason == Future
}
