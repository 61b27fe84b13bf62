package jetstore_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidemark/tidemark/internal/jetstore"
)

// TestState_ConcurrentCalls_AreNotOlderThanTheCall: calls share requests, and each sees what was stored
// before it.
func TestState_ConcurrentCalls_AreNotOlderThanTheCall(t *testing.T) {
	s := newHarness(t)
	l := s.open(jetstore.Options{})
	var stored atomic.Uint64
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 20 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				before := stored.Load()
				state, err := l.State(s.Ctx())
				if err != nil || state.LastSeq < before {
					t.Errorf("%d is stored, and the state is %+v: %v", before, state, err)
					return
				}
			}
		})
	}
	for range 300 {
		stored.Store(s.Publish("notifications.a", nil, nil))
	}
	close(done)
	work.Wait()
}
