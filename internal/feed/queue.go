package feed

import "time"

// keepPending is the capacity of the queue that an idle connection keeps.
const keepPending = 4

// staleAfter is how long pending events that may no longer be stored are still sent to clients that
// read. With the time that the tail takes to notice it, that is within two seconds of their removal.
const staleAfter = 100 * time.Millisecond

// queue holds the frames that are pending for one subscription. Subscription.mu guards it.
type queue struct {
	frames     []*Frame
	spare      []*Frame      // the slice that was returned last
	bytes      int           // of frames
	staleSince time.Duration // after clockBase, when the stream of the frames was recreated or lost its end; 0 for not
	missed     bool          // frames were removed because they are deleted: a gap is due before the rest
}

// record removes the frames that fit into room, at least one. They are valid until the next call.
func (q *queue) dequeue(room int) []*Frame {
	if q.bytes > room {
		if n := fitting(q.frames, room); n < len(q.frames) {
			frames := q.frames[:n]
			q.frames, q.spare = q.frames[n:], nil
			for _, f := range frames {
				q.bytes -= f.Size()
			}
			return frames
		}
	}
	frames := q.frames
	clear(q.spare[:cap(q.spare)])
	q.frames, q.spare, q.bytes = q.spare[:0], frames, 0
	if cap(frames) > keepPending {
		q.spare = nil
	}
	return frames
}

// fitting is how many of the frames have room, at least one.
func fitting(frames []*Frame, room int) int {
	for i, f := range frames {
		if room -= f.Size(); room < 0 {
			return max(i, 1)
		}
	}
	return len(frames)
}

// drop empties the queue.
func (q *queue) drop() { *q = queue{staleSince: q.staleSince} }

// dropRemoved removes the frames whose events the stream no longer has.
func (q *queue) dropRemoved() {
	kept := q.frames[:0]
	for _, f := range q.frames {
		if f.removed.Load() {
			q.bytes -= f.Size()
			continue
		}
		kept = append(kept, f)
	}
	if len(kept) < len(q.frames) {
		q.missed = true
		clear(q.frames[len(kept):])
		q.frames = kept
	}
}

// markStale records that the stream was recreated, or lost its end, while events were pending.
func (q *queue) markStale() {
	if len(q.frames) > 0 && q.staleSince == 0 {
		q.staleSince = time.Since(clockBase)
	}
}

// stale reports that the frames must not be sent any more.
func (q *queue) stale() bool {
	return q.staleSince != 0 && time.Since(clockBase)-q.staleSince > staleAfter
}
