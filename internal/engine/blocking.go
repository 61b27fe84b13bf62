package engine

import (
	"errors"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// buffers provides write buffers. An idle connection uses none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, writeSize); return &b }}

// serveBlocking writes the frames of a source on the calling goroutine until the response ends. It returns the
// reason of the end.
func serveBlocking(w http.ResponseWriter, r *http.Request, src Source, opts Options) error {
	h := &blockingConn{stream: Open(w, opts), src: src, wake: make(chan struct{}, 1), timer: time.NewTimer(time.Hour), stall: newStallTimer(src)}
	defer h.timer.Stop()
	src.Start(h)
	for {
		more, due, err := h.turn(r)
		if err == nil && !more {
			err = h.wait(r, due)
		}
		if err != nil {
			src.Ended(err, h.stream.Written())
			return err
		}
	}
}

type blockingConn struct {
	stream *Response
	src    Source
	wake   chan struct{}
	timer  *time.Timer
	stall  *stallTimer

	written time.Time
}

// Wake implements Waker.
func (h *blockingConn) Wake() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// turn calls Append once and writes the frames. It reports whether the source may have more.
func (h *blockingConn) turn(r *http.Request) (more bool, due time.Time, err error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	out, due, err := callAppend(h.src, (*buf)[:0], WriteTurn{Room: writeSize, Now: time.Now(), Written: h.written})
	if cap(out) <= 2*writeSize {
		*buf = out[:0]
	}
	if len(out) == 0 {
		return false, due, err
	}
	h.stall.begin()
	failed := h.stream.Write(out)
	h.stall.end()
	if failed != nil && (err == nil || err == ErrComplete) {
		err = h.disconnectErr(r, failed)
	}
	h.written = time.Now()
	return len(out) >= writeSize, due, err
}

// disconnectErr converts the error of a failed write.
func (h *blockingConn) disconnectErr(r *http.Request, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), r.Context().Err() != nil:
		return ErrGone
	}
	return err
}

func (h *blockingConn) wait(r *http.Request, due time.Time) error {
	var expired <-chan time.Time
	if !due.IsZero() {
		h.timer.Reset(time.Until(due))
		expired = h.timer.C
	}
	select {
	case <-h.wake:
	case <-expired:
	case <-r.Context().Done():
		return ErrGone
	}
	return nil
}
