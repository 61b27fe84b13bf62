package histogram

import (
	"math"
	"sync"
	"testing"
	"time"
)

// The index is compared with Prometheus's definition of the limits.
func TestBucketHoldsItsDurations(t *testing.T) {
	for d := time.Microsecond; d < 1000*time.Second; d += d/7 + 1 {
		i := float64(Bucket(d) + first)
		low, high := math.Exp2((i-1)/perDoubling), math.Exp2(i/perDoubling)
		if s := d.Seconds(); s <= low*(1-1e-12) || s > high*(1+1e-12) {
			t.Fatalf("%v is in (%g, %g]", d, low, high)
		}
		for b := range buckets + 1 {
			if Within(b, d) != (b == Bucket(d)) {
				t.Fatalf("%v and bucket %d", d, b)
			}
		}
	}
}

func TestBoundsAreIncluded(t *testing.T) {
	for exp := -8; exp <= 9; exp++ { // limits that are whole nanoseconds
		d := time.Duration(math.Exp2(float64(exp)) * 1e9)
		if got := Bucket(d) + first; got != exp*perDoubling {
			t.Errorf("%v is in bucket %d, want %d", d, got, exp*perDoubling)
		}
		if got := Bucket(d+1) + first; got != exp*perDoubling+1 {
			t.Errorf("%v is in bucket %d, want %d", d+1, got, exp*perDoubling+1)
		}
	}
}

func TestEnds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		math.MinInt64: 0, -1: 0, 0: 0, 1: 0, 953 * time.Nanosecond: 0, 954 * time.Nanosecond: 1,
		1024 * time.Second: buckets, 1025 * time.Second: buckets, math.MaxInt64: buckets,
	} {
		if got := Bucket(d); got != want {
			t.Errorf("%d ns: bucket %d, want %d", d, got, want)
		}
	}
}

func TestEverythingIsCountedOnce(t *testing.T) {
	var h Histogram
	var observers sync.WaitGroup
	for i := range 20 {
		observers.Go(func() {
			for range 1000 {
				h.Observe(i, time.Duration(i)*100*time.Millisecond)
				h.Observe(i, -time.Hour)
			}
		})
		observers.Go(func() { _ = h.Snapshot() })
	}
	observers.Wait()
	s := h.Snapshot()
	if s.Count != 40_000 || s.Zero != 21_000 || math.Abs(s.Sum-19_000) > 1e-6 {
		t.Errorf("%d observations, %d of them zero, %g s together", s.Count, s.Zero, s.Sum)
	}
	if got := s.UpTo(0); got != 31_000 { // up to a second
		t.Errorf("%d of a second at most", got)
	}
	if got := s.UpTo(10); got != s.Count {
		t.Errorf("%d of 1024 s at most", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	d := time.Millisecond
	for b.Loop() {
		h.Observe(1, d)
		d += 17
	}
}
