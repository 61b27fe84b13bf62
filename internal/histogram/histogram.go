// Package histogram counts durations in buckets, cheaply enough for each delivery of each
// connection. It knows no metrics library: its buckets are those of a native histogram of
// Prometheus (schema 3, eight to a doubling), so that whoever exports one has nothing to convert.
//
// Quantiles are exact to a bucket: within 9 %. A Histogram takes 32 KiB.
package histogram

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// Schema is Prometheus's name for the width of the buckets: each bound is 2^(2^-Schema)
	// times the one before.
	Schema = 3
	// Floor is about a microsecond, in seconds: what is shorter is counted as zero. What is
	// longer than 17 minutes is counted as that.
	Floor = 1.0 / (1 << 20)

	perDoubling = 1 << Schema
	first       = -20 * perDoubling // the index of Floor's bucket, as Prometheus counts
	buckets     = 30 * perDoubling
	lanes       = 16
)

// upper are the bounds of the buckets in nanoseconds, which they include. The last has none.
var upper = func() (u [1 + buckets]int64) {
	for i := range u {
		u[i] = int64(math.Exp2(float64(i+first)/perDoubling) * 1e9)
	}
	u[buckets] = math.MaxInt64
	return u
}()

// start is the first bucket that a duration can be in, by the length of its number and the
// three bits after the first.
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

// Histogram is safe for concurrent use, and its zero value is ready. Who observes often does it
// in a lane of its own, so that processors do not wait for each other.
type Histogram struct{ lanes [lanes]lane }

type lane struct {
	nanos atomic.Int64
	// zero first, then those beyond Floor
	counts [1 + buckets]atomic.Uint64
}

// Observe counts a duration; one below zero is zero. Any lane will do.
func (h *Histogram) Observe(lane int, d time.Duration) {
	h.Lane(lane).Add(Bucket(d), 1, d)
}

// Lane returns one of the lanes, for who observes many durations at a time.
func (h *Histogram) Lane(i int) *Lane { return (*Lane)(&h.lanes[i&(lanes-1)]) }

// Lane is a part of a Histogram.
type Lane lane

// Add counts n durations of one bucket that are sum together.
func (l *Lane) Add(bucket int, n uint64, sum time.Duration) {
	l.counts[bucket].Add(n)
	l.nanos.Add(max(0, int64(sum)))
}

// Bucket is where a duration is counted, for Lane.Add.
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

// Within reports whether a duration is counted in a bucket, for less than Bucket costs: what
// waited together mostly is.
func Within(bucket int, d time.Duration) bool {
	return int64(d) <= upper[bucket] && (bucket == 0 || int64(d) > upper[bucket-1])
}

// Snapshot is what was counted up to a moment.
type Snapshot struct {
	Count uint64
	Sum   float64 // seconds
	Zero  uint64  // of the durations up to Floor
	// Buckets holds those that are not empty. Index i counts durations from 2^((i-1)/8) seconds,
	// that excluded, to 2^(i/8).
	Buckets map[int]uint64
}

// Snapshot adds the lanes up. Durations that are observed meanwhile may be missing.
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

// UpTo is how many of the durations were 2^exp seconds at most.
func (s Snapshot) UpTo(exp int) uint64 {
	n := s.Zero
	for i, count := range s.Buckets {
		if i <= exp*perDoubling {
			n += count
		}
	}
	return n
}
