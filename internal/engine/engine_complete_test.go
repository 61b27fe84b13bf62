package engine_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/tidemark/tidemark/internal/engine"
)

// A source that returns ErrComplete ends its response normally, with all frames: with none, with some, and with
// more than the socket accepts at once.
func TestServe_SourceIsComplete_EndsTheResponseNormally(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		for _, size := range []int{0, 1, 64 << 10, 3 << 20} {
			var all [][]byte
			for left := size; left > 0; left -= min(left, 10<<10) {
				all = append(all, bytes.Repeat([]byte{'x'}, min(left, 10<<10)))
			}
			src := frames(t, all, engine.ErrComplete)
			s := serveOne(t, setup{proto: proto}, src)
			resp := s.get(t)
			body, err := io.ReadAll(resp.Body)
			if err != nil || len(body) != size {
				t.Errorf("%d bytes: read %d, %v", size, len(body), err)
			}
			if end := src.end(t); end.err != engine.ErrComplete || end.written < int64(size) {
				t.Errorf("%d bytes: ended with %v after %d bytes", size, end.err, end.written)
			}
		}
	})
}
