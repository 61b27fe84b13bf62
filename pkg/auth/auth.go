// Package auth authenticates requests and determines what a client may read and publish.
//
// Use it to configure the authentication of an embedded server. A [Source] reads an identity from a
// request:
//
//   - [JWT]: from a signed token
//   - [Header]: from the headers of a trusted gateway
//   - [APIKeys]: from an API key
//   - [Dev]: from a query parameter, for requests of the same machine
//   - [Anonymous]: an identity without a user for every request
//
// Combine them with [First] or [Required]:
//
//	source := auth.Required(jwt.Identify, auth.TrustedHeader("X-User", "10.0.0.7"))
//
// Guarantees:
//
//   - Values. Each value of an identity has 1 to 255 bytes of valid UTF-8, so that it can be encoded as
//     one token of a subject. A request with any other value is rejected; values are never dropped.
//   - No fallback. A request with an invalid credential is rejected without trying the next source. A
//     forged or expired token never results in an anonymous identity.
//   - Secrets. Errors and log messages contain neither tokens nor keys, nor parts of them.
//
// Sources are safe for concurrent use.
package auth

import (
	"errors"
	"net/http"
)

// ErrNoIdentity is returned by a Source if the request contains no credentials of its kind.
var ErrNoIdentity = errors.New("the request has no identity")

// Source reads an identity from a request. It returns ErrNoIdentity if there is none, and an *Error if
// the credentials are invalid.
type Source func(*http.Request) (Identity, error)

// First tries the sources in order and returns the first identity or error. If no source finds an
// identity, it returns an anonymous one.
func First(sources ...Source) Source {
	return func(r *http.Request) (Identity, error) {
		id, err := first(sources, r)
		if errors.Is(err, ErrNoIdentity) {
			return Identity{Kind: KindAnonymous}, nil
		}
		return id, err
	}
}

// Required tries the sources in order, like First. If no source finds an identity, it rejects the
// request with 401.
func Required(sources ...Source) Source {
	return func(r *http.Request) (Identity, error) {
		id, err := first(sources, r)
		if errors.Is(err, ErrNoIdentity) {
			return Identity{}, &Error{
				Status: http.StatusUnauthorized, Detail: "this needs an identity: send a token, as in Authorization: Bearer TOKEN",
				// RFC 6750 recommends no error code for a request without credentials.
				Challenge: `Bearer realm="tidemark"`,
			}
		}
		return id, err
	}
}

// Anonymous returns an anonymous identity for every request. Put it at the end of the list of
// Required to accept anonymous clients explicitly.
func Anonymous() Source {
	return func(*http.Request) (Identity, error) { return Identity{Kind: KindAnonymous}, nil }
}

func first(sources []Source, r *http.Request) (Identity, error) {
	for _, source := range sources {
		id, err := source(r)
		if !errors.Is(err, ErrNoIdentity) {
			return id, err
		}
	}
	return Identity{}, ErrNoIdentity
}
