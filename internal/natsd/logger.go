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

// logger hands the server's messages to slog, and keeps what the server calls fatal:
// that JetStream did not start, say, is told to the logger and nobody else.
type logger struct {
	out *slog.Logger

	mu     sync.Mutex
	fatals []error
	storeErr  error // the first that the store met

	connErrors *rate.Limiter
	suppressed  int // errors of connections since the last one that was written
}

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{out: to, connErrors: rate.NewLimiter(rate.Every(connErrorInterval), connErrorBurst)}
}

func (l *logger) Noticef(format string, v ...any) { l.out.Debug(message(format, v)) }
func (l *logger) Warnf(format string, v ...any)   { l.out.Warn(message(format, v)) }

// Errorf notes what the server says nowhere else: that a stream's file could not be written,
// upon which the stream takes nothing more until a restart (nats-server 2.15.2).
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

// byConnection are errors of one connection, such as a login that is refused or a permission that is
// missing: of a client, over WebSocket or MQTT, or of a leaf node.
var byConnection = regexp.MustCompile(` - [cwml]id:\d+ - `)

// Clients without a login must not fill the log: of errors of connections, connErrorBurst are written
// at once, and then one per connErrorInterval.
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
