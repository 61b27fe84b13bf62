package feed

// Gap says what could not be redelivered. It stands before the frames that follow it.
type Gap struct {
	Reason Reason
	// Requested is the position that could not be continued, as the client named it or as
	// it was reached on this connection.
	Requested string
	// FirstAvailable is the oldest event that the stream still holds, or will hold next.
	FirstAvailable Position
	// Continues is where delivery goes on: with the first event after it.
	Continues Position
}

func newGap(reason Reason, requested string, now State, continues uint64) *Gap {
	return &Gap{
		Reason: reason, Requested: requested,
		FirstAvailable: Position{now.FirstSeq, now.Epoch},
		Continues:      Position{continues, now.Epoch},
	}
}

// gapAt compares a position with the stream as it is: the gap to announce and where to go
// on. No gap means that everything after the position is there.
//
// Another incarnation is delivered from its beginning, since none of it was seen. A position
// beyond the end says that the stream was rolled back; what took the place of the lost
// numbers cannot be told from what the client has, so it goes on with what comes next.
//
// born is State.Created where the position comes from, 0 when that is not known.
func gapAt(at Position, born int64, requested string, now State) (*Gap, uint64) {
	before := now.FirstSeq - min(now.FirstSeq, 1)
	switch {
	case at.Epoch != now.Epoch, !sameIncarnation(born, now.Created):
		return newGap(NewEpoch, requested, now, before), before
	case at.Seq > now.LastSeq:
		return newGap(Future, requested, now, now.LastSeq), now.LastSeq
	case at.Seq < before:
		return newGap(Trimmed, requested, now, before), before
	}
	return nil, at.Seq
}

// merge keeps, of two gaps in a row, the position that was asked for first, and the reason that
// explains where delivery continues from there: in another incarnation, or further back.
func (g *Gap) merge(later *Gap) *Gap {
	if g == nil {
		return later
	}
	if later == nil {
		return g
	}
	merged := *later
	merged.Requested = g.Requested
	if g.Reason == NewEpoch || g.Reason == Future && later.Reason == Possible {
		merged.Reason = g.Reason
	}
	return &merged
}
