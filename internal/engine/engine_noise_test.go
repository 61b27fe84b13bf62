package engine_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidemark/tidemark/internal/engine"
)

// Bytes sent by the client after its request have no effect, even another request.
func TestServe_BytesAfterTheRequest_Ignored(t *testing.T) {
	for name, noise := range map[string]string{
		"request": request, "line": "junk\r\n\r\n", "much": strings.Repeat("junk", 100<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			src := newNumbers(t)
			s := newServing(t, setup{proto: "http1"}, func(*http.Request) engine.Source {
				requests.Add(1)
				return src
			})
			c := s.raw(t, request+noise[:min(len(noise), 1000)])
			in := rawLines(t, c)
			in.want(0)
			var shouting sync.WaitGroup
			shouting.Go(func() { _, _ = io.WriteString(c, noise) })
			for i := range 200 {
				src.put(i)
				in.want(i)
			}
			src.finish(errOver)
			if in.Scan() || in.Err() != io.ErrUnexpectedEOF && name != "much" {
				t.Errorf("%q, %v", in.Text(), in.Err())
			}
			if end := src.end(t); end.err != errOver || requests.Load() != 1 {
				t.Errorf("%v after %d requests", end.err, requests.Load())
			}
			_ = c.Close()
			shouting.Wait()
		})
	}
}

// The kernel resets a socket that is closed with unread bytes. The peer would lose the bytes that it has
// not read.
func TestClose_UnreadBytes_LastFramesArrive(t *testing.T) {
	t.Parallel()
	farewell := strings.Repeat("good bye\n", 30<<10)
	src := frames(t, [][]byte{[]byte(farewell)}, errOver)
	s := serveOne(t, setup{proto: "http1", buffer: 1 << 20}, src)
	c := s.rawBy(t, smallPeer(), request+strings.Repeat("junk", 10<<10))
	if end := src.end(t); end.err != errOver {
		t.Error(end.err)
	}
	raw, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	if _, body, _ := dechunk(t, raw); string(body) != farewell {
		t.Errorf("%d bytes arrived of %d", len(body), len(farewell))
	}
}

// A disconnect is detected after unread bytes.
func TestDisconnect_AfterUnreadBytes_Detected(t *testing.T) {
	t.Parallel()
	src := newNumbers(t)
	c := serveOne(t, setup{proto: "http1"}, src).raw(t, request+request+"junk")
	rawLines(t, c).want(0)
	_ = c.Close()
	if end := src.end(t); end.err != engine.ErrGone {
		t.Error(end.err)
	}
}
