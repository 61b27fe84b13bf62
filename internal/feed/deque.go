package feed

import (
	"cmp"
	"slices"
)

// deque is a queue of frames in order of sequence. Popped places are reclaimed once they
// make up half of the slice, which keeps push and pop at a constant cost on average and a
// deque of one frame, the common case of a user's subject, at one small allocation.
type deque struct {
	frames []*Frame
	head   int
}

func (d *deque) len() int        { return len(d.frames) - d.head }
func (d *deque) at(i int) *Frame { return d.frames[d.head+i] }

// copyTo copies frames from the index i on, as many as dst has room for.
func (d *deque) copyTo(dst []*Frame, i int) int { return copy(dst, d.frames[d.head+i:]) }

func (d *deque) push(f *Frame) { d.frames = append(d.frames, f) }

func (d *deque) pop() *Frame {
	f := d.frames[d.head]
	d.frames[d.head] = nil
	d.head++
	if d.head*2 > len(d.frames) {
		n := copy(d.frames, d.frames[d.head:])
		clear(d.frames[n:])
		d.frames, d.head = d.frames[:n], 0
	}
	return f
}

// remove takes out the frames with the given sequences, which rise, and returns them.
// Sequences without a frame are skipped.
func (d *deque) remove(seqs []uint64) (removed []*Frame) {
	frames := d.frames[d.head:]
	kept, rest := 0, 0 // frames[:kept] stay; frames[rest:] were not looked at yet
	for _, seq := range seqs {
		i, found := slices.BinarySearchFunc(frames[rest:], seq, func(f *Frame, seq uint64) int { return cmp.Compare(f.Seq, seq) })
		if !found {
			continue
		}
		i += rest
		removed = append(removed, frames[i])
		kept += copy(frames[kept:], frames[rest:i])
		rest = i + 1
	}
	kept += copy(frames[kept:], frames[rest:])
	clear(frames[kept:])
	d.frames = d.frames[:d.head+kept]
	return removed
}

// has reports whether there is a frame with the sequence.
func (d *deque) has(seq uint64) bool {
	i := d.search(seq - 1)
	return i < d.len() && d.at(i).Seq == seq
}

// search returns the index of the first frame beyond seq.
func (d *deque) search(seq uint64) int {
	i, _ := slices.BinarySearchFunc(d.frames[d.head:], seq, func(f *Frame, seq uint64) int {
		if f.Seq <= seq {
			return -1
		}
		return 1
	})
	return i
}
