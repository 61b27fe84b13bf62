//go:build !linux

package engine

import (
	"net"
	"net/http"
)

// Engine takes connections over on Linux; elsewhere each is written by its own goroutine.
type Engine struct{}

// New returns an engine. The caller closes it.
func New() (*Engine, error) { return &Engine{}, nil }

// Close ends what the engine writes; here that is nothing.
func (e *Engine) Close() {}

func (e *Engine) hijack(http.ResponseWriter, *http.Request, Source, Options) bool { return false }

// Listen returns a listener of the same connections, with front.Sockets and front.SendBuffer.
func (e *Engine) WrapListener(l net.Listener, front ListenerOptions) (net.Listener, error) {
	return front.Sockets.Listen(l, front.SendBuffer), nil
}
