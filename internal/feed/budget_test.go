package feed

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// claim acquires bytes in the background, and appends its name to granted once it has them.
func claim(t *testing.T, b *ReplayBudget, granted *[]string, mu *sync.Mutex, name string, bytes int) {
	t.Helper()
	go func() {
		if _, err := b.acquire(t.Context(), bytes); err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		*granted = append(*granted, name)
	}()
	synctest.Wait()
}

func TestReplayBudget_Full_ServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var granted []string
		b := NewReplayBudget(10)
		claim(t, b, &granted, &mu, "first", 8)
		claim(t, b, &granted, &mu, "large", 6)
		claim(t, b, &granted, &mu, "small", 1)
		if b.tryAcquire(1) {
			t.Error("1 byte was taken past replays that wait")
		}
		if want := []string{"first"}; !slices.Equal(granted, want) {
			t.Errorf("granted %v, want %v", granted, want)
		}
		if s := b.Status(); s.Used != 8 || s.Waiting != 2 || s.Limit != 10 {
			t.Errorf("status %+v", s)
		}
		b.adjust(-3)
		synctest.Wait()
		if len(granted) != 1 {
			t.Errorf("5 of 10 bytes are in use: granted %v", granted)
		}
		b.adjust(-1)
		synctest.Wait()
		if want := []string{"first", "large"}; !slices.Equal(granted, want) {
			t.Errorf("granted %v, want %v", granted, want)
		}
		b.adjust(-4)
		synctest.Wait()
		if s := b.Status(); s.Used != 7 || s.Waiting != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestReplayBudget_RequestBeyondItsSize_AcquiresAllOfIt(t *testing.T) {
	b := NewReplayBudget(10)
	n, err := b.acquire(t.Context(), 1000)
	if n != 10 || err != nil {
		t.Errorf("acquired %d: %v", n, err)
	}
}

func TestReplayBudget_WaiterLeaves_NextIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var granted []string
		b := NewReplayBudget(10)
		claim(t, b, &granted, &mu, "first", 8)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := b.acquire(ctx, 6); left <- err }()
		synctest.Wait()
		claim(t, b, &granted, &mu, "small", 2)
		cancel()
		if err := <-left; err == nil {
			t.Error("acquired after its context had ended")
		}
		synctest.Wait()
		if want := []string{"first", "small"}; !slices.Equal(granted, want) {
			t.Errorf("granted %v, want %v", granted, want)
		}
	})
}

// TestReplayBudget_RandomUse_StaysWithinItsSize has waiters that give up. Every waiter is served, and the
// used bytes end at zero.
func TestReplayBudget_RandomUse_StaysWithinItsSize(t *testing.T) {
	const size, users, rounds = 1000, 50, 400
	b := NewReplayBudget(size)
	var work sync.WaitGroup
	for user := range users {
		work.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(user)))
			for range rounds {
				ctx, cancel := t.Context(), func() {}
				if rnd.IntN(4) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(50))*time.Microsecond)
				}
				n, err := b.acquire(ctx, 1+rnd.IntN(size/4))
				cancel()
				if err != nil {
					continue
				}
				if s := b.Status(); s.Used > size {
					t.Errorf("%d of %d bytes are in use", s.Used, size)
				}
				b.adjust(-n)
			}
		})
	}
	work.Wait()
	if s := b.Status(); s.Used != 0 || s.Waiting != 0 {
		t.Errorf("status %+v at the end", s)
	}
}
