package client

import (
	"math/rand/v2"
	"time"
)

// backoff computes waits with decorrelated jitter: each wait is random, between the lower bound and
// three times the previous wait. Clients that lost the same server at the same time reconnect at
// different times, further apart with every attempt. Doubled waits would keep them in step.
type backoff struct {
	floor, ceil time.Duration
	last        time.Duration                // 0 after a success
	between     func(lo, hi int64) (n int64) // a random number from lo to hi, both included
}

func newBackoff(floor, ceil time.Duration) backoff {
	return backoff{floor: floor, ceil: ceil, between: func(lo, hi int64) int64 {
		return lo + rand.Int64N(hi-lo+1)
	}}
}

// next returns the wait before the next attempt. It is at least minWait, a delay from the server, up to
// ceil. The first wait after a success is at most 1.5 times that delay.
func (b *backoff) next(minWait time.Duration) time.Duration {
	lo := min(max(b.floor, minWait), b.ceil)
	hi := 3 * max(lo, b.last)
	if b.last == 0 && minWait >= b.floor {
		hi = lo + lo/2 // the server's delay is random already; a second wide range would double the wait
	}
	hi = min(hi, b.ceil)
	b.last = time.Duration(b.between(int64(lo), int64(hi)))
	return b.last
}

func (b *backoff) reset() { b.last = 0 }
