//go:build !linux

package engine

import (
	"net"
	"net/http"
)

// Engine does nothing on this system. Each connection is written by its own goroutine.
type Engine struct{}

// New returns an engine. The caller must close it.
func New() (*Engine, error) { return &Engine{}, nil }

// Close does nothing on this system.
func (e *Engine) Close() {}

func (e *Engine) hijack(http.ResponseWriter, *http.Request, Source, Options) bool { return false }

// WrapListener returns a listener of the same connections, with the limits of opts.Sockets.
func (e *Engine) WrapListener(l net.Listener, opts ListenerOptions) (net.Listener, error) {
	return opts.Sockets.Listen(l, opts.SendBuffer), nil
}
