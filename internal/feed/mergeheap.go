package feed

// mergeHead is the next frame of one subject in a merge.
type mergeHead struct {
	of *deque
	i  int
}

func (h mergeHead) frame() *Frame { return h.of.at(h.i) }

// mergeHeap merges the frames of several subjects in order of sequence. It is a binary heap; the
// head with the lowest sequence is first.
type mergeHeap []mergeHead

func (h *mergeHeap) push(head mergeHead) {
	*h = append(*h, head)
	heads := *h
	for i := len(heads) - 1; i > 0; {
		parent := (i - 1) / 2
		if heads[parent].frame().Seq <= heads[i].frame().Seq {
			return
		}
		heads[parent], heads[i] = heads[i], heads[parent]
		i = parent
	}
}

// next removes the frame with the lowest sequence. The heap must not be empty.
func (h *mergeHeap) next() *Frame {
	heads := *h
	f := heads[0].frame()
	if heads[0].i++; heads[0].i == heads[0].of.len() {
		last := len(heads) - 1
		heads[0] = heads[last]
		heads = heads[:last]
		*h = heads
	}
	heads.down()
	return f
}

// down restores the order after the first head has changed.
func (h mergeHeap) down() {
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].frame().Seq < h[least].frame().Seq {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
