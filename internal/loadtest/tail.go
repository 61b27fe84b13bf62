package loadtest

import (
	"bytes"
	"sync"
)

// tailBuffer keeps the last output of a process, to be shown when it fails.
type tailBuffer struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if extra := len(b.text) - tailSize; extra > 0 {
		b.text = bytes.Clone(b.text[extra:])
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
