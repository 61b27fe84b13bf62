package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// logger hands the server's messages to slog, and keeps what the server calls fatal:
// that JetStream did not start, say, is told to the logger and nobody else.
type logger struct {
	to *slog.Logger

	mu     sync.Mutex
	fatals []error
	write  error // the first that the store met
}

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{to: to}
}

func (l *logger) Noticef(format string, v ...any) { l.to.Debug(message(format, v)) }
func (l *logger) Warnf(format string, v ...any)   { l.to.Warn(message(format, v)) }

// Errorf notes what the server says nowhere else: that a stream's file could not be written,
// upon which the stream takes nothing more until a restart (nats-server 2.15.2).
func (l *logger) Errorf(format string, v ...any) {
	text := message(format, v)
	l.to.Error(text)
	if !strings.Contains(text, "ritical write error") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.write == nil {
		l.write = errors.New(text)
	}
}

func (l *logger) writeError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write
}

// The server is never asked for these two: they would tell of every connection and message.
func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}

// Fatalf must return. It does not log: Start's caller gets the error and says it once.
func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatals = append(l.fatals, errors.New(message(format, v)))
}

func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.fatals...)
}

func message(format string, v []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, v...))
}
