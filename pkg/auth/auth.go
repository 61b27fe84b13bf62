// Package auth says who is calling, and what they may read and publish.
//
// A Source reads an identity from a request. Values of an identity become tokens of
// subjects, so each is checked to be one plain token before it leaves this package: no
// identity can hold a dot, a wildcard, a space or a control character.
package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tidemark/tidemark/pkg/feed"
)

// Identity is who is calling. The zero Identity is anonymous.
type Identity struct {
	// Vars fill the variables of subject templates: {"user": "42"}.
	Vars map[string]string
}

// User returns the variable "user"; empty for the anonymous.
func (id Identity) User() string { return id.Vars["user"] }

// Error refuses a request, with the status and the words for its answer.
type Error struct {
	Status int
	Detail string
}

func (e *Error) Error() string { return e.Detail }

// ErrNoIdentity is returned by a Source that finds nothing of its kind in the request.
var ErrNoIdentity = errors.New("the request names nobody")

// Source reads an identity from a request: ErrNoIdentity when there is none, an *Error when
// there is one that cannot be accepted.
type Source func(*http.Request) (Identity, error)

// First asks each source in turn, and takes the first identity or refusal. Nobody is
// anonymous.
func First(sources ...Source) Source {
	return func(r *http.Request) (Identity, error) {
		for _, source := range sources {
			id, err := source(r)
			if !errors.Is(err, ErrNoIdentity) {
				return id, err
			}
		}
		return Identity{}, nil
	}
}

// Header takes the user from a header that a gateway sets, such as X-User. Whoever can
// reach the service past the gateway can set it too.
func Header(name string) Source {
	return func(r *http.Request) (Identity, error) {
		values := r.Header.Values(name)
		switch len(values) {
		case 0:
			return Identity{}, ErrNoIdentity
		case 1:
			return identify("the header "+name, values[0])
		}
		return Identity{}, &Error{http.StatusBadRequest, fmt.Sprintf("the header %s is there %d times; send it once", name, len(values))}
	}
}

// Loopback takes the user from a query parameter, for trying things out: only when both
// ends of the connection are on this machine and no proxy shows between. Behind a proxy of
// the same machine that adds no header of its own, anybody can be any user: leave it out.
func Loopback(param string) Source {
	return func(r *http.Request) (Identity, error) {
		if !strings.Contains(r.URL.RawQuery, param) { // the everyday case is not worth a map
			return Identity{}, ErrNoIdentity
		}
		query := r.URL.Query()
		if !query.Has(param) {
			return Identity{}, ErrNoIdentity
		}
		if !onLoopback(r) {
			return Identity{}, &Error{http.StatusForbidden, fmt.Sprintf("?%s= is for trying things out on the machine itself; let the gateway set the header X-User", param)}
		}
		if n := len(query[param]); n > 1 {
			return Identity{}, &Error{http.StatusBadRequest, fmt.Sprintf("?%s= is there %d times; send it once", param, n)}
		}
		return identify("?"+param+"=", query.Get(param))
	}
}

func identify(where, user string) (Identity, error) {
	if user == "" {
		return Identity{}, ErrNoIdentity
	}
	if err := feed.CheckToken(user); err != nil {
		return Identity{}, &Error{http.StatusBadRequest, fmt.Sprintf("%s %v: a user becomes one token of a subject", where, err)}
	}
	return Identity{Vars: map[string]string{"user": user}}, nil
}

// proxyHeaders betray a proxy. One that sets none of them cannot be told from a client of
// this machine.
var proxyHeaders = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "Via"}

func onLoopback(r *http.Request) bool {
	for _, h := range proxyHeaders {
		if len(r.Header.Values(h)) > 0 {
			return false
		}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return local != nil && isLoopback(local.String()) && isLoopback(r.RemoteAddr)
}

func isLoopback(addr string) bool {
	parsed, err := netip.ParseAddrPort(addr)
	return err == nil && parsed.Addr().Unmap().IsLoopback()
}
