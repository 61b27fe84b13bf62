package engine_test

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// holder is an endless source that counts the calls of Stalled.
type holder struct {
	*script
	stalls  atomic.Int64 // since the last Append
	stalled chan struct{}
	resumed chan struct{} // closed with the first Append after a stall
}

func newHolder(t testing.TB) *holder {
	h := &holder{stalled: make(chan struct{}, 10), resumed: make(chan struct{})}
	frame := bytes.Repeat([]byte("x"), 10<<10)
	h.script = newScript(t, func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
		if h.stalls.Swap(0) > 0 {
			select {
			case <-h.resumed:
			default:
				close(h.resumed)
			}
		}
		for start := len(dst); len(dst)-start < turn.Room; {
			dst = append(dst, frame...)
		}
		return dst, time.Time{}, nil
	})
	return h
}

// Stalled implements engine.Holder.
func (h *holder) Stalled() {
	defer h.enter()()
	if n := h.stalls.Add(1); n > 1 {
		h.t.Errorf("notified %d times of one stall", n)
	}
	h.stalled <- struct{}{}
}

func TestStalled_SocketAcceptsNothing_NotifiesOnce(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		h := newHolder(t)
		resp := serveOne(t, setup{proto: proto, opts: engine.Options{WriteTimeout: time.Hour}}, h).get(t)
		defer func() {
			_ = resp.Body.Close()
			h.end(t)
		}()
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		await(t, h.stalled)
		buf := make([]byte, 64<<10)
		for {
			select {
			case <-h.resumed:
				return
			default:
			}
			if _, err := resp.Body.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The notification does not postpone the write timeout.
func TestStalled_WriteTimeout_StillEndsTheStream(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		h := newHolder(t)
		resp := serveOne(t, setup{proto: proto, opts: engine.Options{WriteTimeout: 2 * time.Second}}, h).get(t)
		defer resp.Body.Close()
		await(t, h.stalled)
		if e := h.end(t); e.err != engine.ErrTimeout {
			t.Errorf("ended with %v", e.err)
		}
	})
}
