package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/config"
)

// explainConnect says what to change where NATS is not reached, or refuses the login. The advice is for
// a server that does not answer.
func explainConnect(err error, n config.NATS, url, advice string) error {
	switch {
	case errors.Is(err, nats.ErrNoServers): // which says no more than the rest of the line
		return fmt.Errorf("NATS is not reached at %s: %s", url, advice)
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("NATS refuses the login at %s: %w; %s", url, err, loginAdvice(n))
	}
	if tls := tlsAdvice(err); tls != "" {
		advice = tls
	}
	return fmt.Errorf("NATS is not reached at %s: %w; %s", url, err, advice)
}

// loginAdvice names the login that was refused, and where it comes from.
func loginAdvice(n config.NATS) string {
	from := func(key string, variables ...string) string {
		for _, v := range variables {
			if slices.Contains(n.Source.Used, v) {
				return v
			}
		}
		for _, used := range n.Source.Used {
			if strings.HasPrefix(used, "nats.context ") {
				return used
			}
		}
		return key
	}
	switch {
	case n.User != "" && n.User == os.Getenv("NATS_USER"):
		return fmt.Sprintf("user %q (%s) is refused: check the name and the password", n.User, from("nats.user", "NATS_USER", "NATS_CONTEXT"))
	case n.User != "":
		return fmt.Sprintf("user %q (%s) is refused: check the name and the password", n.User, from("nats.user", "NATS_CONTEXT"))
	case n.Credentials != "":
		return fmt.Sprintf("the credentials in %s (%s) are refused", n.Credentials, from("nats.credentials", "NATS_CREDS", "NATS_CONTEXT"))
	case n.NKey != "":
		return fmt.Sprintf("the nkey in %s (%s) is refused", n.NKey, from("nats.nkey", "NATS_NKEY", "NATS_CONTEXT"))
	case n.Token != "" && slices.Contains(n.Source.Used, "NATS_USER"):
		return "the token (NATS_USER, which is a token without NATS_PASSWORD) is refused; for a user set NATS_PASSWORD too"
	case n.Token != "":
		return fmt.Sprintf("the token (%s) is refused", from("nats.token", "NATS_CONTEXT"))
	}
	return "set NATS_USER and NATS_PASSWORD, NATS_CREDS or NATS_NKEY, or the keys of nats.*"
}

// tlsAdvice is empty for errors that have nothing to do with certificates.
func tlsAdvice(err error) string {
	var name x509.HostnameError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "set --nats.tls.ca or NATS_CA to the file with the authority that signed the certificate of the server"
	case errors.As(err, &name):
		return "connect to a name that the certificate of the server has: set nats.url"
	case strings.Contains(err.Error(), "remote error: tls: "), strings.Contains(err.Error(), "after TLS handshake"):
		// With TLS 1.3 the server refuses a client after the handshake, and the client may see the end of
		// the connection before the reason.
		return "the server may require a certificate: set --nats.tls.cert and --nats.tls.key, or NATS_CERT and NATS_KEY, to a certificate for the client"
	}
	return ""
}

// permissionError is of a subject that the user may not use.
type permissionError struct{ error }

// permitted calls run with a context that ends when NATS reports that the user lacks a permission. NATS
// reports it apart from the request, which would wait for its answer; permitted returns it as the error.
func permitted(ctx context.Context, nc *nats.Conn, run func(context.Context) error) error {
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			refuse(permissionError{err})
		}
	})
	err := run(ctx)
	if denied, ok := errors.AsType[permissionError](context.Cause(ctx)); ok && err != nil {
		return denied
	}
	return err
}

// lacksPermission completes the error of [permitted], for commands where no more is to be said.
func lacksPermission(err error) error {
	if denied, ok := errors.AsType[permissionError](err); ok {
		return fmt.Errorf("the NATS user lacks a permission: %w", denied.error)
	}
	return err
}
