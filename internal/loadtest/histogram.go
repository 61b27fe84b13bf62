package loadtest

import (
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// newHistogram returns a histogram of latencies from 1 µs to 10 minutes, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1_000, maxLatency, 3) }

const maxLatency = int64(10 * time.Minute)

// histogram is sent between processes whole: percentiles of all clients are those of the merged
// counts, not averages of percentiles.
type histogram struct{ *hdrhistogram.Histogram }

// MarshalText writes the V2 encoding, which is text.
func (h histogram) MarshalText() ([]byte, error) {
	return h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalText reads the output of MarshalText.
func (h *histogram) UnmarshalText(text []byte) (err error) {
	h.Histogram, err = hdrhistogram.Decode(text)
	return err
}

// percentiles are those of a result.
var percentiles = []float64{50, 90, 99, 99.9}

func newLatency(h *hdrhistogram.Histogram) Latency {
	l := Latency{Count: h.TotalCount(), At: map[string]time.Duration{}}
	if l.Count == 0 {
		return l
	}
	l.Mean, l.Max = time.Duration(h.Mean()), time.Duration(h.Max())
	for _, p := range percentiles {
		l.At[strconv.FormatFloat(p, 'f', -1, 64)] = time.Duration(h.ValueAtQuantile(p))
	}
	l.Buckets = buckets(h)
	return l
}

// buckets folds the histogram into eight a doubling: enough for a plot.
func buckets(h *hdrhistogram.Histogram) (out []Bucket) {
	upTo := time.Microsecond
	var count int64
	for _, bar := range h.Distribution() {
		for time.Duration(bar.To) > upTo {
			if count > 0 || len(out) > 0 {
				out = append(out, Bucket{upTo, count})
			}
			upTo, count = upTo+max(upTo/8, 1), 0
		}
		count += bar.Count
	}
	out = append(out, Bucket{upTo, count})
	for len(out) > 0 && out[len(out)-1].Count == 0 {
		out = out[:len(out)-1]
	}
	return out
}
