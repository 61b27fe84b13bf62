package testkit

import (
	"strings"
	"sync"
)

// Log stores the written text, and can be read at the same time. The zero value is empty and ready to use.
// It is safe for concurrent use, and must not be copied.
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

// String returns the text written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
