// Package httpserver configures HTTP servers for feeds: the protocols, timeouts suitable for long-lived
// responses, and CORS.
package httpserver

import (
	"cmp"
	"log"
	"net/http"
	"time"
)

// SendBuffer is the size of the kernel's send buffer of a socket, in bytes. The default of the system
// grows to megabytes. A third of the buffer must be free before epoll reports that a slow client accepts
// bytes again.
const SendBuffer = 128 << 10

// MaxHead is the maximum size of a request head, in bytes. net/http adds 4096, and answers 431 to larger
// heads.
const MaxHead = 64 << 10

// Options configures New. The zero value is usable.
type Options struct {
	// HeadTimeout limits the wait for the head of a request; 10 s if zero.
	HeadTimeout time.Duration
	// BodyTimeout limits the time for reading a request with its body; 30 s if zero.
	BodyTimeout time.Duration
	ErrorLog    *log.Logger // as in http.Server
}

// New returns a server for HTTP/1.1 and HTTP/2. Without TLS, HTTP/2 needs prior knowledge (h2c). There is
// no WriteTimeout, as it would end every event stream; the engine sets deadlines.
func New(handler http.Handler, opts Options) *http.Server {
	srv := &http.Server{
		Handler:           handler,
		ErrorLog:          opts.ErrorLog,
		ReadHeaderTimeout: cmp.Or(opts.HeadTimeout, 10*time.Second),
		ReadTimeout:       cmp.Or(opts.BodyTimeout, 30*time.Second), // net/http removes it after reading a request without a body
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    MaxHead,
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			// Detects the dead connection of a webview after the machine slept.
			SendPingTimeout: 30 * time.Second,
			PingTimeout:     15 * time.Second,
		},
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv
}
