package engine

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// serveHijacked writes to a hijacked connection on the calling goroutine. It is used if the engine cannot
// get a descriptor: a listener has wrapped the connection, or the process has no descriptors left.
func serveHijacked(c net.Conn, h http.Header, r *http.Request, src Source, opts Options) {
	ctx, gone := context.WithCancel(r.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		defer gone()
		_, _ = io.Copy(io.Discard, c)
	})
	w := &chunked{Conn: c, header: h, head: head(h, time.Now())}
	if serveBlocking(w, r.WithContext(ctx), src, opts) == ErrComplete {
		_, _ = c.Write(append(w.head, lastChunk...))
	}
	_ = c.Close() // also ends the reading goroutine
	reading.Wait()
}

// chunked is a ResponseWriter over a connection.
type chunked struct {
	net.Conn // for SetWriteDeadline
	header   http.Header
	head     []byte // nil once it is written
}

func (c *chunked) Header() http.Header { return c.header }
func (c *chunked) WriteHeader(int)     {}
func (c *chunked) Flush()              {}

// Write writes one chunk, in one piece.
func (c *chunked) Write(b []byte) (int, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	out := append((*buf)[:0], c.head...)
	c.head = nil
	out = append(strconv.AppendInt(out, int64(len(b)), 16), "\r\n"...)
	out = append(append(out, b...), "\r\n"...)
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	*buf = out[:0]
	return len(b), nil
}
