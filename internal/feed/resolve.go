package feed

// streamView is the state of the stream on which a start is resolved.
type streamView struct {
	incarnation        // that the tail follows
	first       uint64 // the first sequence of the stream, as the leader reported it last
	low, high   uint64 // the window covers (low, high]
	leader      *State // the answer of the leader; nil before it was requested
	seqAt       uint64 // with leader: Store.SeqAt of a start at a time
}

func (f *Feed) viewLocked() streamView {
	return streamView{incarnation: f.incarnation, first: f.first, low: f.window.low, high: f.window.high}
}

// source is where a subscription gets the events between its start and now.
type source uint8

const (
	sourceNone   source = iota // it begins at the end: there are none
	sourceWindow               // the window has all of them
	sourceLeader               // not resolved: the answer of the leader is required
	sourceStore                // they are read from the store, unless the window has them
	sourceLatest               // the latest event of each subject is read from the store
)

// resolved is where a subscription begins, or continues.
type resolved struct {
	start      Start // one of several positions was chosen
	source     source
	at         place  // behind the gap, if there is one
	requested  string // the position that the client named, in full
	gap        *Gap
	mirrorWait bool // at lies beyond the end of a mirror that may still get the events up to there
}

// named reports that a client claims to have everything up to a position.
func (r *resolved) named() bool { return r.start.kind == startSeq || r.start.kind == startResume }

// resumed reports that delivery continues at the position of the client.
func (r *resolved) resumed(gap *Gap) bool {
	return r.start.kind == startResume && (gap == nil || gap.Reason == Possible)
}

// resolveStart decides where a subscription begins. It is called once with the state that the node has, and
// where that is not sufficient (sourceLeader) a second time with the answer of the leader.
//
//	start                        without the leader          with the leader
//	new                          at the end of the window
//	malformed position           the same, behind a gap
//	position in the window       at the position
//	position below the window    sourceLeader                at the position; trimmed: behind a gap
//	position beyond the window   sourceLeader                at the position; beyond the end: behind a gap
//	position of another epoch    sourceLeader                at the first event, behind a gap
//	position without an epoch    of the tail's incarnation   of the leader's incarnation
//	all                          sourceLeader                at the first event
//	time                         sourceLeader                at the first event since then
//	last                         sourceLeader                at the end; the latest events come first
func resolveStart(start Start, view streamView) resolved {
	start = start.choose(view.epoch)
	r := resolved{start: start, at: place{view.incarnation, view.high}}
	switch start.kind {
	case startNew:
		r.requested = r.at.position().String()
		return r
	case startMalformed:
		// The last state replaces the present one: a request to the leader for a position that
		// cannot be read would cost more than it is worth.
		last := State{Epoch: view.epoch, FirstSeq: max(view.first, 1)}
		r.gap = newGap(Malformed, start.raw[:min(len(start.raw), MaxPositionLen)], last, view.high)
		return r
	case startSeq, startResume:
		r.at = placeNamed(start.position, view)
	}
	r.requested = r.at.position().String()
	if view.leader == nil {
		r.source = sourceLeader
		if r.named() && r.at.same(view.incarnation) && view.low <= r.at.seq && r.at.seq <= view.high {
			r.source = sourceWindow
		}
		return r
	}
	state := *view.leader
	r.source = sourceStore
	switch start.kind {
	case startAll:
		r.at = place{state.incarnation(), state.FirstSeq - min(state.FirstSeq, 1)}
	case startTime:
		r.at = place{state.incarnation(), view.seqAt - min(view.seqAt, 1)}
	case startLast:
		r.at = place{state.incarnation(), state.LastSeq}
		if r.source = sourceLatest; state.LastSeq == 0 || state.FirstSeq > state.LastSeq {
			r.source = sourceNone
		}
	default:
		compared := resolvePlace(r.at, r.requested, state)
		compared.start, compared.source = r.start, r.source
		return compared
	}
	r.requested = r.at.position().String()
	return r
}

// placeNamed returns the place of a position that a client named. The incarnation of an epoch that
// only other nodes have seen yet has no time of creation; that of a bare sequence is the present one.
func placeNamed(named Position, view streamView) place {
	switch {
	case named.Epoch == "" && view.leader != nil:
		return place{view.leader.incarnation(), named.Seq}
	case named.Epoch == "", named.Epoch == view.epoch:
		return place{view.incarnation, named.Seq}
	}
	return place{incarnation{epoch: named.Epoch}, named.Seq}
}

// resolvePlace compares a place with the stream. A place beyond the end of a mirror is not a gap yet.
func resolvePlace(at place, requested string, state State) resolved {
	if state.Copy != Original && at.epoch == state.Epoch && at.seq > state.LastSeq {
		return resolved{at: at, requested: requested, mirrorWait: true}
	}
	gap, seq := gapAt(at, requested, state)
	return resolved{at: place{state.incarnation(), seq}, requested: requested, gap: gap}
}

// gapAt returns the gap between a place and the stream, and the sequence to continue behind. Without
// a gap every event after the place is stored, except those that were deleted from the inside.
//
// Another incarnation is delivered from its beginning, since the client has none of it. A position
// beyond the end shows that the stream was rolled back. Which events took the place of the lost
// sequences cannot be derived from the position, so delivery continues with the next event.
func gapAt(at place, requested string, now State) (*Gap, uint64) {
	before := now.FirstSeq - min(now.FirstSeq, 1)
	switch {
	case !at.same(now.incarnation()):
		return newGap(NewEpoch, requested, now, before), before
	case at.seq > now.LastSeq:
		return newGap(Future, requested, now, now.LastSeq), now.LastSeq
	case at.seq < before:
		return newGap(Trimmed, requested, now, before), before
	}
	return nil, at.seq
}
