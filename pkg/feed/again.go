package feed

// again is a range of sequences that the stream gave twice, as the tail saw: it lost its end,
// or was made anew, and kept its epoch. Who comes back with one of them may have the first event of that number
// or the second, and so may miss some; a position does not tell.
type again struct{ above, upTo uint64 }

// after returns what is known after a loss in the epoch that was.
func (a again) after(epoch string, loss *LossError) again {
	if loss.State.Epoch != epoch {
		return again{}
	}
	if !loss.Again && loss.Reason != NewEpoch {
		return a
	}
	now := again{upTo: max(a.upTo, loss.From-1)}
	if loss.Reason == Future { // else the stream has passed the place already
		now.above = loss.State.LastSeq
	}
	if a.upTo > 0 {
		now.above = min(now.above, a.above)
	}
	return now
}

// givenAgain returns the gap of a subscription that begins at a number which was given twice.
func (s *Subscription) givenAgain(requested string) *Gap {
	f := s.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	if s.epoch != f.epoch || s.cursor <= f.again.above || s.cursor > f.again.upTo {
		return nil
	}
	return newGap(Possible, requested, State{Epoch: f.epoch, FirstSeq: f.window.low + 1}, s.cursor)
}
