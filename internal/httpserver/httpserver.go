// Package httpserver has the settings of HTTP servers that feeds need: the protocols, the timeouts
// that do not end streams of events, and what pages of other origins may send.
package httpserver

import (
	"cmp"
	"log"
	"net/http"
	"time"
)

// SendBuffer bounds what the kernel holds for one client, in bytes. The default grows to megabytes,
// of which a third must drain before a slow client counts as taking bytes again.
const SendBuffer = 128 << 10

// MaxHead bounds the head of a request, in bytes; net/http adds 4096 and answers 431.
const MaxHead = 64 << 10

// Options configure New. The zero value works.
type Options struct {
	// HeadTimeout bounds the wait for the head of a request; 10 s when zero.
	HeadTimeout time.Duration
	// BodyTimeout bounds the time that a request takes to arrive with its body; 30 s when zero.
	BodyTimeout time.Duration
	ErrorLog    *log.Logger // as in http.Server
}

// New returns a server that speaks HTTP/1.1 and HTTP/2; in the clear HTTP/2 needs prior knowledge
// (h2c). There is no WriteTimeout, which would end every stream of events; the engine sets deadlines.
func New(handler http.Handler, opts Options) *http.Server {
	srv := &http.Server{
		Handler:           handler,
		ErrorLog:          opts.ErrorLog,
		ReadHeaderTimeout: cmp.Or(opts.HeadTimeout, 10*time.Second),
		ReadTimeout:       cmp.Or(opts.BodyTimeout, 30*time.Second), // net/http lifts it once a request without a body is read
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    MaxHead,
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			// A webview's connection dies in its sleep; a ping finds out.
			SendPingTimeout: 30 * time.Second,
			PingTimeout:     15 * time.Second,
		},
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv
}
