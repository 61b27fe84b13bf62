package feed

// incarnation identifies one life of a stream. Sequences have a meaning within it only: a stream that
// is deleted and created again begins with 1.
type incarnation struct {
	epoch   string
	created int64 // State.Created; 0 where it is not known
}

// same reports that nothing distinguishes two incarnations. A time of creation that is not known
// distinguishes nothing.
func (i incarnation) same(other incarnation) bool {
	return i.epoch == other.epoch && (i.created == 0 || other.created == 0 || i.created == other.created)
}

func (s State) incarnation() incarnation { return incarnation{s.Epoch, s.Created} }

// place is a sequence with the incarnation that gives it a meaning.
type place struct {
	incarnation
	seq uint64
}

func (p place) position() Position { return Position{p.seq, p.epoch} }
