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
}

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{to: to}
}

func (l *logger) Noticef(format string, v ...any) { l.to.Debug(message(format, v)) }
func (l *logger) Warnf(format string, v ...any)   { l.to.Warn(message(format, v)) }
func (l *logger) Errorf(format string, v ...any)  { l.to.Error(message(format, v)) }

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
