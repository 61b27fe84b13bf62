package testkit

import (
	"strings"
	"sync"
)

// Log keeps what is written to it, and can be read meanwhile. The zero value is empty and ready;
// safe for concurrent use, not to be copied.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write never fails.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String is all that was written up to now.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
