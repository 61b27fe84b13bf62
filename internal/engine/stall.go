package engine

import (
	"sync"
	"time"
)

// stallAfter is how long a socket accepts no more before its source is notified.
const stallAfter = time.Second

// Holder is a Source that holds memory for what its client is yet to read, and can give it back.
type Holder interface {
	Source
	// Stalled reports that bytes of the last Append wait for a socket that has accepted none for a
	// second. It is called once between two calls of Append, by one goroutine at a time with the
	// other methods, and must not block. A WriteTimeout of a second or less ends the stream instead.
	Stalled()
}

// stallTimer calls Stalled for a goroutine that is blocked in a write. It has no timer of its own until
// the first write of a Holder.
type stallTimer struct {
	src Holder // nil for a source that is not one

	mu      sync.Mutex
	writing bool
	timer   *time.Timer
}

func newStallTimer(src Source) *stallTimer {
	holder, _ := src.(Holder)
	return &stallTimer{src: holder}
}

// begin comes before a write, and end after it. end waits for a call of Stalled that is under way.
func (t *stallTimer) begin() {
	if t.src == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writing = true
	if t.timer == nil {
		t.timer = time.AfterFunc(stallAfter, t.expire)
	} else {
		t.timer.Reset(stallAfter)
	}
}

func (t *stallTimer) end() {
	if t.src == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writing = false
	t.timer.Stop()
}

func (t *stallTimer) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writing {
		t.writing = false
		t.src.Stalled()
	}
}
