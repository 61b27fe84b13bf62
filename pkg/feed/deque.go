package feed

import "slices"

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
