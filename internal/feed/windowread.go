package feed

// stretch is how many frames of the window a subscription with wildcards copies in one step. The feed is
// locked for 2 µs while they are copied, a hundredth of the time for matching them.
const stretch = 1024

// joinAtOnce is how many frames at the end of the window it matches while the feed is locked, so that live
// frames follow the last of them. 16 frames take 2 µs with 64 wildcard filters.
const joinAtOnce = 16

// windowReader reads the window for one subscription. Filters without wildcards cost time for each frame
// that matches, however many frames are between. Wildcards cost time for every frame.
//
// With wildcards, frames are copied while the feed is locked, and matched after that. Matching a stretch
// under the lock takes 100 µs. On a busy machine a live event then waited up to 20 ms while one client
// resumed repeatedly, perhaps because the thread that held the lock lost its processor.
type windowReader struct {
	set filterSet
	buf []*Frame // a stretch, nil without wildcards
}

func newWindowReader(filters []string) *windowReader {
	r := &windowReader{set: newFilterSet(filters)}
	if r.set.wildcard {
		r.buf = make([]*Frame, stretch)
	}
	return r
}

// copyAfter copies the frames of the first stretch after seq to buf, and returns how many follow them.
func (w *window) copyAfter(buf []*Frame, seq uint64) (frames []*Frame, left int) {
	from := w.frames.search(seq)
	n := w.frames.copyTo(buf, from)
	return buf[:n], w.frames.len() - from - n
}

// match returns those of frames that match, at most catchUpFrames, in a slice of its own. All of them
// up to the sequence upTo are there.
func (s filterSet) match(frames []*Frame) (matching []*Frame, upTo uint64) {
	for _, f := range frames {
		upTo = f.Seq
		if !s.matches(f.Subject) {
			continue
		}
		if matching = append(matching, f); len(matching) == catchUpFrames {
			break
		}
	}
	return matching, upTo
}

// count is how many of frames match.
func (s filterSet) count(frames []*Frame) (n int) {
	for _, f := range frames {
		if s.matches(f.Subject) {
			n++
		}
	}
	return n
}

// pick returns the frames beyond seq of subjects without wildcards, in order, at most limit of them.
// All of them up to the sequence upTo are there; upTo is high unless limit cut them short.
func (w *window) pick(seq uint64, subjects []string, limit int) (frames []*Frame, upTo uint64) {
	heads := make(mergeHeap, 0, len(subjects))
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

// countOf is how many frames beyond seq subjects without wildcards have.
func (w *window) countOf(seq uint64, subjects []string) (n int) {
	for _, subject := range subjects {
		if of := w.subjects[subject]; of != nil {
			n += of.len() - of.search(seq)
		}
	}
	return n
}
