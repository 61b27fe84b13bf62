// Package natserr explains errors of NATS to people: why a connection cannot be made, and which permission a
// user lacks.
package natserr

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// ExplainConnect completes an error of connecting to url with a remedy. That is login if the server rejects the
// login, and advice if it does not respond.
func ExplainConnect(err error, url, login, advice string) error {
	switch {
	case errors.Is(err, nats.ErrNoServers): // its text adds nothing to the line
		return fmt.Errorf("cannot connect to NATS at %s: %s", url, advice)
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("NATS rejects the login at %s: %w; %s", url, err, login)
	}
	if tls := tlsAdvice(err); tls != "" {
		advice = tls
	}
	return fmt.Errorf("cannot connect to NATS at %s: %w; %s", url, err, advice)
}

// tlsAdvice is empty for errors that are not about certificates.
func tlsAdvice(err error) string {
	var name x509.HostnameError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "set --nats.tls.ca or NATS_CA to the file with the authority that signed the certificate of the server"
	case errors.As(err, &name):
		return "set nats.url to a name in the certificate of the server"
	case strings.Contains(err.Error(), "remote error: tls: "), strings.Contains(err.Error(), "after TLS handshake"):
		// With TLS 1.3 the server rejects a client after the handshake, and the client may see the end of
		// the connection before the reason.
		return "the server may require a certificate: set --nats.tls.cert and --nats.tls.key, or NATS_CERT and NATS_KEY, to a certificate for the client"
	}
	return ""
}

// PermissionError is a missing permission for a subject.
type PermissionError struct{ error }

// Unwrap returns the error of NATS.
func (e PermissionError) Unwrap() error { return e.error }

// Permitted calls run and returns a missing permission as a [PermissionError]. The context of run ends when NATS
// reports one. NATS reports it apart from the request, which would wait for its response. It replaces
// the error handler of the connection.
func Permitted(ctx context.Context, nc *nats.Conn, run func(context.Context) error) error {
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			refuse(PermissionError{err})
		}
	})
	err := run(ctx)
	if denied, ok := errors.AsType[PermissionError](context.Cause(ctx)); ok && err != nil {
		return denied
	}
	return err
}

// LacksPermission completes an error of [Permitted].
func LacksPermission(err error) error {
	if denied, ok := errors.AsType[PermissionError](err); ok {
		return fmt.Errorf("the NATS user lacks a permission: %w", denied.error)
	}
	return err
}

// inboxTimeout bounds the wait of [InboxesPermitted].
const inboxTimeout = 5 * time.Second

// InboxesPermitted reports whether the user may subscribe to inboxes of the connection's prefix.
func InboxesPermitted(ctx context.Context, nc *nats.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, inboxTimeout)
	defer cancel()
	nc.SetErrorHandler(nil) // LastError has the violation
	sub, err := nc.SubscribeSync(nc.NewInbox() + ".*")
	if err != nil {
		return false
	}
	defer func() { _ = sub.Unsubscribe() }()
	return nc.FlushWithContext(ctx) == nil && !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}
