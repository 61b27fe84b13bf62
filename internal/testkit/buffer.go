// Package testkit is what the tests of several packages need: a log that many write, and ports
// that stay a test's own.
package testkit

import (
	"bytes"
	"sync"
)

// Buffer is an io.Writer that several goroutines write, such as the log of a service that is
// tested, and that may be read meanwhile. The zero value is empty.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
