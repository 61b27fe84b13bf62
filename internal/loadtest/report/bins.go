package report

import (
	"math"
	"time"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// bin is a bar of the distribution. Bounds are in nanoseconds. The count is a float because
// counts of several buckets may not fit an integer, and may be split.
type bin struct {
	lo, hi float64
	count  float64
}

// bins are l's buckets that hold something, with both bounds.
func bins(l loadtest.Latency) []bin {
	var all []bin
	lo := lowest(l.Buckets)
	for _, b := range l.Buckets {
		hi := max(float64(b.UpTo), 1)
		if b.Count > 0 {
			all = append(all, bin{min(lo, hi/1.01), hi, float64(b.Count)})
		}
		lo = hi
	}
	// The last bucket may be open-ended; nothing in it is above the maximum.
	if n := len(all); n > 0 && float64(l.Max) > all[n-1].lo {
		all[n-1].hi = min(all[n-1].hi, float64(l.Max))
	}
	return all
}

// lowest guesses where the first bucket begins, which no bucket says: one step below.
func lowest(b []loadtest.Bucket) float64 {
	if len(b) == 0 {
		return 1
	}
	first, step := max(float64(b[0].UpTo), 1), 2.0
	if len(b) > 1 {
		step = min(max(float64(b[1].UpTo)/first, 1.01), 2)
	}
	return first / step
}

func total(all []bin) float64 {
	var n float64
	for _, b := range all {
		n += b.count
	}
	return n
}

// regular spreads bins that are too many to draw over n of the same width on a logarithmic
// axis. A histogram's own steps change their width from decade to decade, and bars that join a
// whole number of them would show teeth that no delivery made.
func regular(all []bin, n int) []bin {
	if len(all) <= n {
		return all
	}
	lo := math.Log(all[0].lo)
	width := (math.Log(all[len(all)-1].hi) - lo) / float64(n)
	out := make([]bin, n)
	for i := range out {
		from := lo + float64(i)*width
		out[i] = bin{lo: math.Exp(from), hi: math.Exp(from + width)}
	}
	for _, b := range all {
		spread(b, out, lo, width)
	}
	return out
}

// spread adds b to the bins that it overlaps, by the part that it overlaps.
func spread(b bin, out []bin, lo, width float64) {
	from, to := (math.Log(b.lo)-lo)/width, (math.Log(b.hi)-lo)/width
	for i := max(int(from), 0); i < len(out) && float64(i) < to; i++ {
		part := min(to, float64(i+1)) - max(from, float64(i))
		out[i].count += b.count * max(part, 0) / (to - from)
	}
}

// joinedBins adds up neighbours until at most n are left, for a table: its counts stay exact.
func joinedBins(all []bin, n int) []bin {
	each := (len(all) + n - 1) / n
	var out []bin
	for i, b := range all {
		if i%each == 0 {
			out = append(out, bin{lo: b.lo})
		}
		last := &out[len(out)-1]
		last.hi = b.hi
		last.count += b.count
	}
	return out
}

// nanos turns a bound back into a duration. The longest one does not survive as a float.
func nanos(x float64) time.Duration {
	if x >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(x))
}
