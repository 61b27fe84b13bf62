package engine_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// wrapped is a listener with its own connection type, as in netutil.LimitListener or implementations of
// the PROXY protocol.
type wrapped struct{ net.Listener }

func (w wrapped) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// The bytes of a wrapped connection pass through the wrapper.
func TestWrappedConnection(t *testing.T) {
	for way, end := range map[string]error{"server": errOver, "client": engine.ErrGone, "timeout": engine.ErrTimeout} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			src := newNumbers(t)
			s := &serving{engine: newEngine(t)}
			handler := func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Kept", "yes")
				s.engine.Serve(w, r, src, engine.Options{WriteTimeout: time.Second})
			}
			s.wrap = func(l net.Listener) net.Listener { return wrapped{l} }
			s.serve(t, setup{proto: "http1", buffer: 16 << 10}, handler)
			resp := s.get(t)
			in := bodyLines(t, resp.Body)
			in.want(0)
			for i := range 100 {
				src.put(i)
				in.want(i)
			}
			switch way {
			case "server":
				src.finish(errOver)
				if in.Scan() || in.Err() != io.ErrUnexpectedEOF {
					t.Errorf("%q, %v", in.Text(), in.Err())
				}
			case "client":
				_ = resp.Body.Close()
			case "timeout":
				for i := range 1 << 20 {
					src.put(i)
				}
			}
			if got := src.end(t); !errors.Is(got.err, end) || resp.Header.Get("X-Kept") != "yes" {
				t.Errorf("%v with %v", got.err, resp.Header)
			}
		})
	}
}
