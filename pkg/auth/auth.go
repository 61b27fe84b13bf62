// Package auth says who is calling, and what they may read and publish.
//
// A Source reads an identity from a request: JWT from a signed token, Header from what a
// gateway sets, APIKeys from a key for publishing, Dev from the query on the machine itself,
// Anonymous from nothing.
//
// What it guarantees:
//   - Values of an identity become tokens of subjects, percent-encoded where needed. Each is
//     checked to be encodable (1 to 255 bytes of valid UTF-8) before it leaves this package.
//     Another value is refused, never left out.
//   - What is there and wrong is refused; no other source is asked then. A forged or expired
//     token never makes an anonymous.
//   - No error and no log line holds a token, a key, or a part of one.
//
// Sources are safe for concurrent use.
package auth

import (
	"errors"
	"net/http"
)

// ErrNoIdentity is returned by a Source that finds nothing of its kind in the request.
var ErrNoIdentity = errors.New("the request names nobody")

// Source reads an identity from a request: ErrNoIdentity when there is none, an *Error when
// there is one that cannot be accepted.
type Source func(*http.Request) (Identity, error)

// First asks each source in turn, and takes the first identity or refusal. Nobody is
// anonymous.
func First(sources ...Source) Source {
	return func(r *http.Request) (Identity, error) {
		id, err := first(sources, r)
		if errors.Is(err, ErrNoIdentity) {
			return Identity{Kind: KindAnonymous}, nil
		}
		return id, err
	}
}

// Required asks each source in turn, as First does, and refuses a request that none of them
// finds an identity in with 401.
func Required(sources ...Source) Source {
	return func(r *http.Request) (Identity, error) {
		id, err := first(sources, r)
		if errors.Is(err, ErrNoIdentity) {
			return Identity{}, &Error{
				Status: http.StatusUnauthorized, Detail: "this needs an identity: send a token, as in Authorization: Bearer TOKEN",
				// RFC 6750 wants no error code for a request that carries nothing.
				Challenge: `Bearer realm="tidemark"`,
			}
		}
		return id, err
	}
}

// Anonymous takes everybody for nobody in particular. It belongs at the end of a list given
// to Required, where it says that anonymous clients are wanted.
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
