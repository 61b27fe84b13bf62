package feedhttp

import (
	"sync"
	"time"
)

// endLines is how many ends of connections a handler logs a second. A storm that ends ten thousand
// connections would bury everything else; the metrics count all.
const endLines = 500

// sampler lets so many lines a second through, and counts the others.
type sampler struct {
	mu       sync.Mutex
	second   int64 // of the monotonic clock
	began    time.Time
	lines    int
	unlogged int
}

// allow reports whether a line may be written, and how many were left out since the last one.
func (s *sampler) allow(limit int) (unlogged int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() {
		s.began = time.Now()
	}
	if second := int64(time.Since(s.began) / time.Second); second != s.second {
		s.second, s.lines = second, 0
	}
	if s.lines >= limit {
		s.unlogged++
		return 0, false
	}
	s.lines++
	unlogged, s.unlogged = s.unlogged, 0
	return unlogged, true
}
