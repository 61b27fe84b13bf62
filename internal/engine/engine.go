package engine

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

// Source is what one connection sends. Its methods are called by one goroutine at a time and
// must not block.
type Source interface {
	// Start comes first, and once. Whenever there may be something to send, w is to be woken.
	Start(w Waker)
	// Append appends whole frames to dst and returns it. Less than turn.Room says that nothing
	// is left until w is woken or due is reached; the zero time is never. With an error the
	// stream is ended behind what was appended. What was appended before has been taken by the
	// kernel.
	Append(dst []byte, turn WriteTurn) (out []byte, due time.Time, err error)
	// Ended comes last, and once, when the stream has ended: with the error of Append,
	// ErrGone, ErrTimeout, ErrClosed, or what the system said. written are the bytes that the
	// kernel took, transfer coding included where the engine writes it itself.
	Ended(err error, written int64)
}

// Turn is what a source is to know of its connection when it is asked.
type WriteTurn struct {
	Room    int // append about so many bytes, unless one frame is larger
	Now     time.Time
	Written time.Time // when the kernel had taken what was appended last; zero before anything was
	// Lane tells apart those who ask at the same time, so that what a source counts can be
	// counted without waiting for each other. It is that of the engine's loop, and one more
	// for all first turns; 0 elsewhere.
	Lane int
}

// Waker makes the engine call Append soon. Wake may be called by any goroutine, at any time,
// and returns at once.
type Waker interface{ Wake() }

// Why a stream ends other than by its source.
var (
	ErrGone    = errors.New("the client has gone")
	ErrTimeout = errors.New("the client took no bytes for the write timeout")
	ErrClosed  = errors.New("the engine is closed")
)

// ask calls a source. One that panics ends its own stream, as a handler under net/http does, and
// not those of all others.
func callAppend(src Source, dst []byte, turn WriteTurn) (out []byte, due time.Time, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			out, err = dst, fmt.Errorf("panic: %v\n%s", broken, debug.Stack())
		}
	}()
	return src.Append(dst, turn)
}

// Options configure a response. The zero value works.
type Options struct {
	// WriteTimeout is how long a client may take no bytes at all; 30 s when zero.
	WriteTimeout time.Duration
}

func (o Options) timeout() time.Duration { return cmp.Or(o.WriteTimeout, 30*time.Second) }

// room is how much a source is asked for at a time, and so what a connection that takes no
// more can leave in memory, beside one frame.
const writeSize = 64 << 10

// Front says what an engine answers itself of what comes to a listener.
type ListenerOptions struct {
	// Handler answers requests that are streams. It calls Engine.Serve, or refuses.
	Handler http.Handler
	// Stream tells by its path whether a GET is one.
	IsSubscribe func(path string) bool
	// SendBuffer is how many bytes the kernel may hold for one client; its own rule when zero.
	SendBuffer int
	// Sockets counts the sockets of the listener and bounds them; nil does neither. Its ConnState must
	// be the hook of the http.Server.
	Sockets *Sockets
	// HeadTimeout bounds the wait for the first request of a connection; 10 s when zero.
	HeadTimeout time.Duration
}

// Serve answers a request with status 200, the headers that are set on w, and what src sends.
//
// A connection of plain HTTP/1.1 is taken over on Linux: Serve returns at once, and from then
// on the connection costs no goroutine. Any other, and any without an engine, is written by
// the calling goroutine: Serve returns when the stream has ended, by a panic with
// http.ErrAbortHandler, because every stream is ended by an abort.
//
// The context of a request ends when Serve returns.
func (e *Engine) Serve(w http.ResponseWriter, r *http.Request, src Source, opts Options) {
	if e != nil && r.ProtoAtLeast(1, 1) && r.ProtoMajor == 1 && r.TLS == nil && e.hijack(w, r, src, opts) {
		return
	}
	serveBlocking(w, r, src, opts)
	panic(http.ErrAbortHandler)
}
