package client

import (
	"math/rand/v2"
	"time"
)

// backoff gives waits with decorrelated jitter: each is drawn between the lower bound and
// three times the one before. Clients that lost one server at once so come back spread out,
// and spread further with every attempt, which waits that double in step would not do.
type backoff struct {
	floor, ceil time.Duration
	last        time.Duration                // 0 when nothing has failed since the last success
	between     func(lo, hi int64) (n int64) // draws from lo..hi, both included
}

func newBackoff(floor, ceil time.Duration) backoff {
	return backoff{floor: floor, ceil: ceil, between: func(lo, hi int64) int64 {
		return lo + rand.Int64N(hi-lo+1)
	}}
}

// next returns the wait before the next attempt, at least what the server asked for as long
// as that is within ceil. The first one after a success is at most half as long again.
func (b *backoff) next(asked time.Duration) time.Duration {
	lo := min(max(b.floor, asked), b.ceil)
	hi := 3 * max(lo, b.last)
	if b.last == 0 && asked >= b.floor {
		hi = lo + lo/2 // the server draws what it asks for; another wide draw would double the silence
	}
	hi = min(hi, b.ceil)
	b.last = time.Duration(b.between(int64(lo), int64(hi)))
	return b.last
}

func (b *backoff) reset() { b.last = 0 }
