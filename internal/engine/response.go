package engine

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// pieceSize is the number of bytes written with one deadline. It is small enough for a client on a slow
// network to accept a piece within the timeout, and large enough for a replay of small frames to need few
// system calls.
const pieceSize = 16 << 10

// Response writes the frames of one connection. It is not safe for concurrent use.
//
// Write blocks until the kernel has accepted the bytes. It fails if the client accepts no bytes for
// Options.WriteTimeout. A slow client does not exceed the timeout, because each piece has its own
// deadline. There is no deadline between writes.
//
// Over HTTP/2, a failed write must be followed by a frame that ends the HTTP/2 stream. If the socket
// accepts no bytes at all, that frame fails only if the http.Server sends pings
// (HTTP2Config.SendPingTimeout) or has a WriteByteTimeout.
type Response struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	written int64
}

// Open starts a response with status 200 and the headers set on w. The headers are sent with the first
// Write.
func Open(w http.ResponseWriter, opts Options) *Response {
	w.WriteHeader(http.StatusOK)
	return &Response{
		w: w, control: http.NewResponseController(w),
		timeout: opts.timeout(),
	}
}

// Written returns the number of bytes written, without the transfer coding.
func (s *Response) Written() int64 { return s.written }

var pieces = sync.Pool{New: func() any { b := make([]byte, 0, pieceSize); return &b }}

// Write writes whole frames and flushes them. After an error the response cannot be used further.
func (s *Response) Write(frames ...[]byte) error {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	piece := (*buf)[:0]
	for _, frame := range frames {
		for len(frame) > 0 {
			n := min(len(frame), pieceSize-len(piece))
			piece, frame = append(piece, frame[:n]...), frame[n:]
			if len(piece) < pieceSize {
				continue
			}
			if err := s.send(piece); err != nil {
				return err
			}
			piece = piece[:0]
		}
	}
	if err := s.send(piece); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	// Over HTTP/2 an expired deadline resets the HTTP/2 stream even if no write is running. Without
	// this line, a pause as long as the timeout would end the connection.
	return s.control.SetWriteDeadline(time.Time{})
}

func (s *Response) send(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	if err := s.extend(); err != nil {
		return err
	}
	n, err := s.w.Write(piece)
	s.written += int64(n)
	return err
}

func (s *Response) flush() error {
	if err := s.extend(); err != nil {
		return err
	}
	return s.control.Flush()
}

// extend sets the deadline before each write, because an expired deadline cannot be extended.
func (s *Response) extend() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return fmt.Errorf("the server does not support write deadlines: %w", err)
	}
	return nil
}

// Abort ends the response without its last chunk, by a panic. Call it on the handler's goroutine.
// Client libraries treat the end as a lost connection, and reconnect.
func (s *Response) Abort() { panic(http.ErrAbortHandler) }
