package jetstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestScanQueue_TurnsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewScanQueue()
		release, err := q.acquire(t.Context(), scanCapacity)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		for i := range 5 {
			go func() {
				release, err := q.acquire(t.Context(), scanCapacity)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				release()
			}()
			synctest.Wait() // it is in the queue
		}
		if q.Waiting() != 5 {
			t.Errorf("%d wait, want 5", q.Waiting())
		}
		release()
		time.Sleep(time.Minute)
		synctest.Wait() // all have returned
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("admitted in the order %v", order)
		}
	})
}

// TestScanQueue_CostCounts admits many small requests at once, and a large one alone.
func TestScanQueue_CostCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewScanQueue()
		var releases []func()
		for range 5 {
			release, err := q.acquire(t.Context(), scanCapacity/5)
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		large := make(chan func(), 1)
		go func() {
			release, _ := q.acquire(t.Context(), 100*scanCapacity)
			large <- release
		}()
		synctest.Wait()
		small := make(chan func(), 1)
		go func() {
			release, _ := q.acquire(t.Context(), 1)
			small <- release
		}()
		synctest.Wait()
		for i, release := range releases {
			if len(large) > 0 || len(small) > 0 {
				t.Fatalf("admitted beside %d others, or out of turn", len(releases)-i)
			}
			release()
			time.Sleep(time.Second)
			synctest.Wait()
		}
		(<-large)()
		time.Sleep(time.Second)
		(<-small)()
	})
}

func TestScanQueue_AfterRequest_PausesForAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ took, pause time.Duration }{
			{100 * time.Millisecond, 100 * time.Millisecond}, {time.Minute, maxScanPause},
		} {
			q := NewScanQueue()
			release, _ := q.acquire(t.Context(), scanCapacity)
			time.Sleep(c.took)
			release()
			began := time.Now()
			again, err := q.acquire(t.Context(), scanCapacity)
			if err != nil {
				t.Fatal(err)
			}
			if paused := time.Since(began); paused != c.pause {
				t.Errorf("after %v it pauses for %v, want %v", c.took, paused, c.pause)
			}
			again()
		}
	})
}

func TestScanQueue_RequestAbandoned_LetsOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewScanQueue()
		release, _ := q.acquire(t.Context(), scanCapacity/2)
		ctx, leave := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		failed := make(chan error, 1)
		go func() {
			_, err := q.acquire(ctx, scanCapacity)
			failed <- err
		}()
		synctest.Wait()
		behind := make(chan func(), 1)
		go func() {
			release, _ := q.acquire(t.Context(), scanCapacity/2)
			behind <- release
		}()
		synctest.Wait()
		if len(behind) > 0 {
			t.Error("admitted out of turn")
		}
		leave(gone)
		if err := <-failed; !errors.Is(err, gone) {
			t.Error(err)
		}
		(<-behind)()
		release()
		if q.Waiting() != 0 {
			t.Errorf("%d wait", q.Waiting())
		}
	})
}
