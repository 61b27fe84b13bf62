package engine

import (
	"sync"
	"time"
)

// stallAfter is the time without progress of a socket after which its source is notified.
const stallAfter = time.Second

// StallNotified is a Source with a notification of slow clients. It can release memory for unread events then.
type StallNotified interface {
	Source
	// Stalled is called if the socket has accepted none of the waiting bytes for a second.
	//
	// It is called at most once between two calls of Append, never concurrently with the other methods,
	// and must not block. With a WriteTimeout of a second or less the connection ends instead.
	Stalled()
}

// stallTimer calls Stalled while a goroutine is blocked in a write. It creates its timer with the first
// write of a StallNotified.
type stallTimer struct {
	src StallNotified // nil for other sources

	mu      sync.Mutex
	writing bool
	timer   *time.Timer
}

func newStallTimer(src Source) *stallTimer {
	notified, _ := src.(StallNotified)
	return &stallTimer{src: notified}
}

// begin is called before a write, and end after it. end waits for a running call of Stalled.
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
