package feed

// stretch is how many frames of the window are looked at while the feed is locked. 256 frames
// take 30 µs with 64 wildcard filters; the tail, and with it every live client, waits no longer.
const stretch = 256

// after returns the frames beyond seq that match, in order, at most limit of them. All of them
// up to the sequence upTo are there; upTo is high once everything was looked at.
//
// Subjects without wildcards cost what they match, however much lies between. Wildcards cost a
// look at each frame since seq, and one call looks at no more than a stretch.
func (w *window) after(seq uint64, set filterSet, limit int) (frames []*Frame, upTo uint64) {
	if set.wildcard {
		return w.scan(seq, set, limit)
	}
	return w.pick(seq, set.filters, limit)
}

// scan looks at the frames of one stretch.
func (w *window) scan(seq uint64, set filterSet, limit int) (frames []*Frame, upTo uint64) {
	from := w.frames.search(seq)
	to := min(from+stretch, w.frames.len())
	for i := from; i < to; i++ {
		f := w.frames.at(i)
		if !set.matches(f.Subject) {
			continue
		}
		frames = append(frames, f)
		if len(frames) == limit {
			to = i + 1
		}
	}
	return frames, w.lookedUpTo(to)
}

// pick merges the frames of subjects, which are in order each. It costs what it returns, however
// many more there are.
func (w *window) pick(seq uint64, subjects []string, limit int) (frames []*Frame, upTo uint64) {
	var heads mergeHeap
	for _, subject := range subjects {
		of := w.subjects[subject]
		if of == nil {
			continue
		}
		if i := of.search(seq); i < of.len() {
			heads.push(mergeHead{of, i})
		}
	}
	for len(heads) > 0 {
		if len(frames) == limit {
			return frames, frames[limit-1].Seq
		}
		frames = append(frames, heads.next())
	}
	return frames, w.high
}

// count is how many frames beyond seq match. It counts up to the sequence upTo, which is high
// once everything was looked at.
func (w *window) count(seq uint64, set filterSet) (n int, upTo uint64) {
	if !set.wildcard {
		for _, subject := range set.filters {
			if of := w.subjects[subject]; of != nil {
				n += of.len() - of.search(seq)
			}
		}
		return n, w.high
	}
	from := w.frames.search(seq)
	to := min(from+stretch, w.frames.len())
	for i := from; i < to; i++ {
		if set.matches(w.frames.at(i).Subject) {
			n++
		}
	}
	return n, w.lookedUpTo(to)
}

// lookedUpTo is the sequence up to which frames were looked at when the frame at i is the next.
func (w *window) lookedUpTo(i int) uint64 {
	if i == w.frames.len() {
		return w.high
	}
	return w.frames.at(i - 1).Seq
}
