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

func (e *Engine) takeOver(http.ResponseWriter, *http.Request, Source, Options) bool { return false }

func (e *Engine) attach(*http.Server, net.Listener, ListenerOptions) (net.Listener, error) {
	return nil, nil
}

// Handshakes returns no counts on this system.
func (e *Engine) Handshakes() HandshakeStatus { return HandshakeStatus{} }

type (
	engineListener struct{}
	secure         struct{}
)
