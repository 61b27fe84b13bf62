package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// logger passes the server's messages to slog. It stores fatal errors, such as a failed start of JetStream,
// because the server reports them only to its logger.
type logger struct {
	out *slog.Logger

	mu       sync.Mutex
	fatals   []error
	storeErr error // the first error of the store

	connErrors *rate.Limiter
	suppressed int // errors of connections since the last logged one
}

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{out: to, connErrors: rate.NewLimiter(rate.Every(connErrorInterval), connErrorBurst)}
}

func (l *logger) Noticef(format string, v ...any) { l.out.Debug(message(format, v)) }
func (l *logger) Warnf(format string, v ...any)   { l.out.Warn(message(format, v)) }

// Errorf stores failed writes of a stream's file, which the server reports only to its logger. After such
// an error the stream accepts no messages until a restart (nats-server 2.15.2).
func (l *logger) Errorf(format string, v ...any) {
	text := message(format, v)
	if byConnection.MatchString(text) {
		l.warnOfConnection(text)
		return
	}
	l.out.Error(text)
	if !strings.Contains(text, "ritical write error") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.storeErr == nil {
		l.storeErr = errors.New(text)
	}
}

// byConnection matches errors of one connection, such as a rejected login or a missing permission: of a
// client, over WebSocket or MQTT, or of a leaf node.
var byConnection = regexp.MustCompile(` - [cwml]id:\d+ - `)

// The rate of errors of connections, because clients without a login must not fill the log: a burst of
// connErrorBurst, and then one per connErrorInterval.
const (
	connErrorBurst    = 10
	connErrorInterval = 6 * time.Second
)

func (l *logger) warnOfConnection(text string) {
	l.mu.Lock()
	if !l.connErrors.Allow() {
		l.suppressed++
		l.mu.Unlock()
		return
	}
	unwritten := l.suppressed
	l.suppressed = 0
	l.mu.Unlock()
	if unwritten > 0 {
		l.out.Warn(text, "similar_not_logged", unwritten)
		return
	}
	l.out.Warn(text)
}

func (l *logger) storeError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.storeErr
}

// Debug and trace messages are discarded: they report every connection and message.
func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}

// Fatalf returns. It does not log, because Start returns the error to its caller.
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
