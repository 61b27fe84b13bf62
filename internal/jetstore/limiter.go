package jetstore

import (
	"cmp"
	"sync"
	"time"
)

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
