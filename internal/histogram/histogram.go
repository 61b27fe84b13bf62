// Package histogram counts durations in buckets, with little cost per observation.
//
// Use it for a measurement per delivery and connection. It does not depend on a metrics library. The
// buckets are those of a native Prometheus histogram (schema 3, eight per doubling), so that they can be
// exported without a conversion.
//
// The error of a quantile is at most one bucket, 9 %. A Histogram uses 32 KiB.
package histogram

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// Schema is Prometheus's name for the width of the buckets: each limit is 2^(2^-Schema) times the
	// previous one.
	Schema = 3
	// Floor is about a microsecond, in seconds. Shorter durations count as zero, and durations over 17
	// minutes as 17 minutes.
	Floor = 1.0 / (1 << 20)

	perDoubling = 1 << Schema
	first       = -20 * perDoubling // the index of Floor's bucket in Prometheus's numbering
	buckets     = 30 * perDoubling
	lanes       = 16
)

// upper contains the inclusive upper limits of the buckets in nanoseconds. The last bucket has no limit.
var upper = func() (u [1 + buckets]int64) {
	for i := range u {
		u[i] = int64(math.Exp2(float64(i+first)/perDoubling) * 1e9)
	}
	u[buckets] = math.MaxInt64
	return u
}()

// start contains the first possible bucket of a duration, by the length of its number and the three bits
// after the first.
var start = func() (s [64][8]uint8) {
	for length := 4; length < 64; length++ {
		for bits := range 8 {
			least := int64(8+bits) << (length - 4)
			i, _ := slices.BinarySearch(upper[:], least)
			s[length][bits] = uint8(i)
		}
	}
	return s
}()

// Histogram counts durations. Its zero value is ready to use, and it is safe for concurrent use.
// Goroutines with many observations should use different lanes, to avoid contention.
type Histogram struct{ lanes [lanes]lane }

type lane struct {
	nanos atomic.Int64
	// durations up to Floor first, then longer ones
	counts [1 + buckets]atomic.Uint64
}

// Observe counts a duration. A negative duration counts as zero.
func (h *Histogram) Observe(lane int, d time.Duration) {
	h.Lane(lane).Add(Bucket(d), 1, d)
}

// Lane returns a lane for a goroutine with many observations. Any index is valid.
func (h *Histogram) Lane(i int) *Lane { return (*Lane)(&h.lanes[i&(lanes-1)]) }

// Lane is a part of a Histogram.
type Lane lane

// Add counts n durations of one bucket with the given sum.
func (l *Lane) Add(bucket int, n uint64, sum time.Duration) {
	l.counts[bucket].Add(n)
	l.nanos.Add(max(0, int64(sum)))
}

// Bucket returns the bucket of a duration, for Lane.Add.
func Bucket(d time.Duration) int {
	if int64(d) <= upper[0] {
		return 0
	}
	length := bits.Len64(uint64(d)) //nolint:gosec // it is above zero
	i := int(start[length][d>>(length-4)&7])
	for int64(d) > upper[i] {
		i++
	}
	return i
}

// Within reports whether a duration belongs to a bucket. It is cheaper than Bucket. Events that waited
// together are mostly in the same bucket.
func Within(bucket int, d time.Duration) bool {
	return int64(d) <= upper[bucket] && (bucket == 0 || int64(d) > upper[bucket-1])
}

// Snapshot contains the counts at a point in time.
type Snapshot struct {
	Count uint64
	Sum   float64 // seconds
	Zero  uint64  // number of durations up to Floor
	// Buckets contains the buckets with counts. Index i counts durations from 2^((i-1)/8) seconds
	// (exclusive) to 2^(i/8) seconds (inclusive).
	Buckets map[int]uint64
}

// Snapshot adds up the lanes. Concurrent observations may be missing.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Buckets: map[int]uint64{}}
	for i := range h.lanes {
		l := &h.lanes[i]
		s.Sum += time.Duration(l.nanos.Load()).Seconds()
		zero := l.counts[0].Load()
		s.Zero += zero
		s.Count += zero
		for b := 1; b <= buckets; b++ {
			if n := l.counts[b].Load(); n > 0 {
				s.Buckets[b+first] += n
				s.Count += n
			}
		}
	}
	return s
}

// UpTo returns the number of durations of at most 2^exp seconds.
func (s Snapshot) UpTo(exp int) uint64 {
	n := s.Zero
	for i, count := range s.Buckets {
		if i <= exp*perDoubling {
			n += count
		}
	}
	return n
}
