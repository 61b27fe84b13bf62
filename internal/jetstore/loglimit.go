package jetstore

import (
	"cmp"
	"sync"
	"time"
)

// logLimiter limits the rate of a log message to one in every, ten seconds when zero, with the number of
// messages that it stands for.
type logLimiter struct {
	every time.Duration

	mu    sync.Mutex
	next  time.Time
	count int
}

func (l *logLimiter) allow() (count int, ok bool) {
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
