package natsconn

import (
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// attempts logs why attempts to connect fail: each cause once per outage, because a long outage has an
// attempt every second or two.
type attempts struct {
	log *slog.Logger

	mu     sync.Mutex
	logged map[string]bool
}

// maxCauses bounds the causes that are remembered. A cluster has a few for each server.
const maxCauses = 64

func (a *attempts) report(err error) {
	if isNoCause(err) {
		return
	}
	a.mu.Lock()
	cause := strings.ToLower(err.Error()) // nats.go has two spellings of the same error
	known := a.logged[cause] || len(a.logged) >= maxCauses
	if !known {
		if a.logged == nil {
			a.logged = make(map[string]bool)
		}
		a.logged[cause] = true
	}
	a.mu.Unlock()
	if !known {
		a.log.Warn("nats: cannot connect; retrying", "error", err)
	}
}

func (a *attempts) connected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logged = nil
}

// watch reports failures after the socket is connected, such as of TLS and the login, until the connection
// is closed: nats.go calls no handler for them. Nothing waits for its goroutine, which ends with the
// connection's own.
func (a *attempts) watch(nc *nats.Conn) {
	status := nc.StatusChanged(nats.CONNECTING, nats.RECONNECTING, nats.CLOSED)
	go func() {
		defer nc.RemoveStatusListener(status)
		trying := false
		for s := range status {
			if s == nats.CLOSED {
				return
			}
			if trying && s == nats.RECONNECTING {
				a.report(nc.LastError())
			}
			trying = s == nats.CONNECTING
		}
	}()
}

// isNoCause reports that an error only follows from the missing connection: no server was reached, or
// nothing is buffered. Such an error does not contain the reason.
func isNoCause(err error) bool {
	return err == nil || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrReconnectBufExceeded)
}

// NotConnected reports that a request failed because there is no connection. The reason is in another
// log message.
func NotConnected(err error) bool { return errors.Is(err, nats.ErrReconnectBufExceeded) }

// Explain replaces the text of an error of NotConnected. It returns any other error unchanged. The
// text of package nats names a buffer that these connections do not have.
func Explain(err error) error {
	if NotConnected(err) {
		return notConnectedError{err}
	}
	return err
}

type notConnectedError struct{ cause error }

func (e notConnectedError) Error() string { return "there is no connection to NATS" }
func (e notConnectedError) Unwrap() error { return e.cause }

// LastError returns why nc is not connected; nil where it is connected or the cause is not known.
func LastError(nc *nats.Conn) error {
	if err := nc.LastError(); !isNoCause(err) {
		return err
	}
	return nil
}

// redacted returns the addresses of the servers, without logins.
func redacted(nc *nats.Conn) string {
	if len(nc.Opts.Servers) == 0 {
		return WithoutLogin(nc.Opts.Url)
	}
	return WithoutLogin(strings.Join(nc.Opts.Servers, ","))
}
