package feed

// Gap announces a loss of events. It comes before the frames that follow it.
type Gap struct {
	Reason Reason
	// Requested is the position that could not be continued, as the client named it or as
	// it was reached on this connection.
	Requested string
	// FirstAvailable is the oldest event that the stream still holds, or will hold next.
	FirstAvailable Position
	// Continues is where delivery continues: with the first event after it.
	Continues Position
}

func newGap(reason Reason, requested string, now State, continues uint64) *Gap {
	return &Gap{
		Reason: reason, Requested: requested,
		FirstAvailable: Position{now.FirstSeq, now.Epoch},
		Continues:      Position{continues, now.Epoch},
	}
}

// merge combines two gaps in a row: the position that was requested first, and the reason that
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
