package loadtest

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies from 1 µs to 10 minutes, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1_000, maxLatency, 3) }

const maxLatency = int64(10 * time.Minute)

// histogram goes to another process whole: percentiles of all processes' clients are those of
// the merged counts, and no average of percentiles.
type histogram struct{ *hdrhistogram.Histogram }

// MarshalText writes the V2 encoding, which is text already.
func (h histogram) MarshalText() ([]byte, error) {
	return h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalText reads what MarshalText wrote.
func (h *histogram) UnmarshalText(text []byte) (err error) {
	h.Histogram, err = hdrhistogram.Decode(text)
	return err
}
