// Package engine is the connection engine: it writes frames to sockets.
//
// A Source is what one connection sends, and Engine.Serve answers a request with it: on Linux
// and over plain HTTP/1.1 the connection is taken over and costs no goroutine; any other is
// written by the calling goroutine, through a Stream. Engine.Listen lets the engine read the
// first request of a connection, too.
//
// A Stream is one client's response. It writes whole frames, many per write, and ends by an
// abort, so that every client library takes the end for a lost connection and comes back.
//
// Writes block until the kernel has taken the bytes. A client that takes nothing for
// Options.WriteTimeout fails the write; one that takes bytes slowly is waited for, because
// each piece has a deadline of its own. Between writes there is none.
//
// Over HTTP/2 a write that has failed is ended by a frame that must be written too. Where a
// socket takes nothing at all, that comes to an end only if the http.Server pings
// (HTTP2Config.SendPingTimeout) or has a WriteByteTimeout.
package engine

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// pieceSize is how much is written under one deadline. Small enough that a client on a bad
// line takes a piece within any sane timeout, large enough that a replay of small frames
// costs few system calls.
const pieceSize = 16 << 10

// Stream writes one client's events. It is not safe for concurrent use.
type Response struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	written int64
}

// Open starts the response with status 200 and the headers that are set on w. The headers
// reach the client with the first Write.
func Open(w http.ResponseWriter, opts Options) *Response {
	w.WriteHeader(http.StatusOK)
	return &Response{
		w: w, control: http.NewResponseController(w),
		timeout: opts.timeout(),
	}
}

// Written is how many bytes the stream has taken, before any transfer coding.
func (s *Response) Written() int64 { return s.written }

var pieces = sync.Pool{New: func() any { b := make([]byte, 0, pieceSize); return &b }}

// Write sends whole frames and flushes them. After an error the stream is of no more use.
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
	// Over HTTP/2 a deadline that passes resets the stream, though nothing waits to be
	// written: without this a silence as long as the timeout would end it.
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

// extend sets the deadline ahead of each write: one that has passed cannot be extended.
func (s *Response) extend() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return fmt.Errorf("this server's responses take no write deadline: %w", err)
	}
	return nil
}

// Abort ends the response without its last chunk. It must be called on the handler's own
// goroutine, and does not return.
func (s *Response) Abort() { panic(http.ErrAbortHandler) }
