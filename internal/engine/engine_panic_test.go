package engine_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// A panic of a source ends its own connection with the panic as the error. Others stay open.
func TestPanic(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		healthy := newNumbers(t)
		broken := newScript(t, func([]byte, engine.WriteTurn) ([]byte, time.Time, error) { panic("out of order") })
		s := newServing(t, setup{proto: proto}, func(r *http.Request) engine.Source {
			if r.URL.Path == "/broken" {
				return broken
			}
			return healthy
		})
		got := rawLines(t, s.raw(t, request))
		got.want(0)
		s.raw(t, strings.Replace(request, "/", "/broken", 1))
		text := broken.end(t).err.Error()
		if !strings.Contains(text, "out of order") || !strings.Contains(text, "engine_panic_test.go") {
			t.Errorf("ended with %s", text)
		}
		healthy.put(1)
		got.want(1)
	})
}
