package engine

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

// Source provides the frames of one connection. The engine calls its methods from one goroutine at a
// time. They must not block.
type Source interface {
	// Start is called first, and once. The source calls w.Wake whenever it may have frames to send.
	Start(w Waker)
	// Append appends whole frames to dst and returns it.
	//
	// If it appends less than turn.Room bytes, the engine calls it again only after w.Wake, or at the
	// time due; the zero time means no deadline. With ErrComplete the engine writes the appended frames and
	// ends the response normally. With any other error it writes the appended frames and aborts the response,
	// which clients treat as a lost connection. A call of Append means that the kernel has accepted all
	// earlier frames.
	Append(dst []byte, turn WriteTurn) (out []byte, due time.Time, err error)
	// Ended is called last, and once, when the response has ended. err is the error of Append, ErrGone,
	// ErrTimeout, ErrClosed, or a system error. It is ErrComplete only if the kernel has accepted everything. written is the number of bytes accepted by the kernel. It
	// includes the transfer coding if the engine writes that itself.
	Ended(err error, written int64)
}

// WriteTurn describes the state of the connection for a call of Source.Append.
type WriteTurn struct {
	Room    int // the number of bytes to append; one larger frame is allowed
	Now     time.Time
	Written time.Time // when the kernel had accepted all bytes; zero before the first write
	// Lane lets sources spread counters, so that calls at the same time seldom update the same one. It is
	// the index of the engine's loop. The first turns of all connections share one further index, the
	// number of loops. Without a loop it is 0.
	Lane int
}

// Waker requests a call of Source.Append. Wake may be called from any goroutine at any time, and does
// not block.
type Waker interface{ Wake() }

// ErrComplete ends a response normally. Source.Append returns it with the last frames.
var ErrComplete = errors.New("the response is complete")

// Reasons for the end of a connection, passed to Source.Ended.
var (
	ErrGone    = errors.New("the client disconnected")
	ErrTimeout = errors.New("write timeout: the client accepted no bytes")
	ErrClosed  = errors.New("the engine is closed")
)

// callAppend calls Append of a source. A panic ends the connection of this source only, as a panic of a
// handler does in net/http.
func callAppend(src Source, dst []byte, turn WriteTurn) (out []byte, due time.Time, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			out, err = dst, fmt.Errorf("panic: %v\n%s", broken, debug.Stack())
		}
	}()
	return src.Append(dst, turn)
}

// Options configures a response. The zero value is usable.
type Options struct {
	// WriteTimeout is the longest time in which a client accepts no bytes; 30 s if zero.
	WriteTimeout time.Duration
}

func (o Options) timeout() time.Duration { return cmp.Or(o.WriteTimeout, 30*time.Second) }

// writeSize is the number of bytes requested from a source at a time. A blocked connection keeps at most
// that much in memory, plus one frame.
const writeSize = 64 << 10

// ListenerOptions configures a listener of [Engine.Attach]. The zero value is usable.
type ListenerOptions struct {
	// Handler answers subscribe requests. It calls Engine.Serve, or writes a short response. Nil means the
	// handler of the server.
	Handler http.Handler
	// IsSubscribe reports whether a GET of a path is a subscribe request; nil means that none is.
	IsSubscribe func(path string) bool
	// SendBuffer is the size of the kernel's send buffer of a socket, in bytes; zero means the system's
	// default.
	SendBuffer int
	// Sockets counts and limits the sockets of the listener; nil means no limits.
	Sockets *Sockets
	// HeadTimeout limits the wait for the head of a request, and that for the TLS handshake before it. Zero
	// means the server's ReadHeaderTimeout, or 10 s.
	HeadTimeout time.Duration
	// IdleTimeout limits the wait for the next request of a connection. Zero means the server's IdleTimeout,
	// or 2 min.
	IdleTimeout time.Duration
}

// withDefaults completes the options with those of the server.
func (o ListenerOptions) withDefaults(server *http.Server) ListenerOptions {
	o.HeadTimeout = cmp.Or(o.HeadTimeout, server.ReadHeaderTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, server.IdleTimeout, 2*time.Minute)
	if o.IsSubscribe == nil {
		o.IsSubscribe = func(string) bool { return false }
	}
	if o.Handler == nil {
		o.Handler = server.Handler
	}
	return o
}

// Attach prepares a server for the connections of l, and returns the listener for its method Serve. Use Serve
// with TLS, too: if the server has a TLSConfig, the listener does the handshakes.
//
// The engine reads the requests of each connection, and opts.Handler answers its subscribe requests. That
// takes less than half of the time of net/http, and no goroutine for a connection that waits. A connection
// with any other request is passed to the server, with all its bytes. So is an HTTP/2 connection.
//
// The engine does this for TCP listeners on Linux. All connections of other listeners, and of a nil Engine,
// are the server's.
//
// Attach sets the server's Handler, ConnState and ConnContext, and the protocols of its TLSConfig. Closing the
// returned listener closes l.
func (e *Engine) Attach(server *http.Server, l net.Listener, opts ListenerOptions) (net.Listener, error) {
	if server.TLSConfig != nil {
		completeTLS(server)
	}
	server.ConnState = opts.Sockets.ConnState
	opts = opts.withDefaults(server)
	if e != nil {
		if attached, err := e.attach(server, l, opts); attached != nil || err != nil {
			return attached, err
		}
	}
	l = opts.Sockets.Listen(l, opts.SendBuffer)
	if server.TLSConfig != nil {
		l = tls.NewListener(l, server.TLSConfig.Clone()) // a copy, because Serve changes the original
	}
	return l, nil
}

// completeTLS sets the protocols of a server's TLSConfig, as http.Server.ServeTLS does.
func completeTLS(server *http.Server) {
	if len(server.TLSConfig.NextProtos) > 0 {
		return
	}
	if server.Protocols == nil || server.Protocols.HTTP2() {
		server.TLSConfig.NextProtos = append(server.TLSConfig.NextProtos, "h2")
	}
	if server.Protocols == nil || server.Protocols.HTTP1() {
		server.TLSConfig.NextProtos = append(server.TLSConfig.NextProtos, "http/1.1")
	}
}

// Serve answers a request with status 200, the headers set on w, and the frames of src.
//
// On Linux, Serve takes an HTTP/1.1 connection over and returns immediately. From then on the connection uses
// no goroutine, and at the end of a complete response the engine reads its next request. A connection with TLS
// must come from a listener of Attach. In all other cases, and for a nil Engine, the calling goroutine writes
// the frames. At the end of the response, Serve returns if it is complete, and else panics with
// http.ErrAbortHandler.
//
// The context of the request ends with the call of Serve.
func (e *Engine) Serve(w http.ResponseWriter, r *http.Request, src Source, opts Options) {
	if e != nil && r.ProtoAtLeast(1, 1) && r.ProtoMajor == 1 && e.takeOver(w, r, src, opts) {
		return
	}
	if err := serveBlocking(w, r, src, opts); err != ErrComplete {
		panic(http.ErrAbortHandler)
	}
}
