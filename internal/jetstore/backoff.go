package jetstore

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	minBackoff = 25 * time.Millisecond
	maxBackoff = time.Second // so that what heals is noticed within about a second
)

// backoff returns the pause before another attempt, the first being 0. The jitter takes up
// to half of it, because a restarted server makes thousands of readers fail at one moment.
func backoff(attempt int) time.Duration {
	d := min(minBackoff<<min(attempt, 10), maxBackoff)
	return d - rand.N(d/2)
}

// limiter thins out log lines: one in every, ten seconds when zero, which says how many it stands
// for.
type limiter struct {
	every time.Duration

	mu    sync.Mutex
	next  time.Time
	count int
}

func (l *limiter) allow() (count int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	now := time.Now()
	if now.Before(l.next) {
		return 0, false
	}
	count, l.count, l.next = l.count, 0, now.Add(cmp.Or(l.every, 10*time.Second))
	return count, true
}
