package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/subject"
)

// Revocation withdraws grants before they expire: all tokens of a user issued so far, or one token.
// With both fields it withdraws that token only if it belongs to that user.
type Revocation struct {
	User  string `json:"user,omitempty"`
	Token string `json:"token,omitempty"` // Identity.TokenID: a token's jti, or an API key's name
}

// maxRevocation is the size limit of a revocation message, in bytes: enough for both fields, escaped.
const maxRevocation = 4 << 10

// ParseRevocation parses {"user":"42"} or {"token":"a jti"}.
//
// Unknown fields are errors, because a misspelt field would change the meaning. A user or a token has at
// most 255 bytes. The length of errors is limited.
func ParseRevocation(data []byte) (Revocation, error) {
	var r Revocation
	switch {
	case len(data) > maxRevocation:
		return r, fmt.Errorf("revocation: the message has %d bytes, of at most %d", len(data), maxRevocation)
	case !utf8.Valid(data):
		return r, errors.New("revocation: the message is not UTF-8") // the decoder would replace it by U+FFFD
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return Revocation{}, fmt.Errorf(`revocation: %.200s; send {"user":"42"} or {"token":"the token's jti"}`, err.Error())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Revocation{}, errors.New("revocation: there is other text after the JSON value")
	}
	return r, r.Check()
}

// Check returns an error for a revocation without effect. It has neither a user nor a token, or a value
// is not possible in an identity. The user is the plain value, not its encoding in subjects.
func (r Revocation) Check() error {
	switch {
	case r == Revocation{}:
		return errors.New(`revocation: neither a user nor a token; set one of them`)
	case len(r.Token) > maxTokenID:
		return fmt.Errorf("revocation: the token has %d bytes, of at most %d", len(r.Token), maxTokenID)
	case r.User == "":
		return nil
	}
	err := subject.CheckValue(r.User)
	if err == nil && strings.ContainsRune(r.User, utf8.RuneError) { // the JSON decoder's replacement of invalid UTF-8
		err = subject.ErrNotUTF8
	}
	if err != nil {
		return fmt.Errorf("revocation: the user %w", err)
	}
	return nil
}

// Grant contains the fields of an identity for the comparison with revocations. Feeds keep one per
// connection.
type Grant struct {
	User, Token string
	// Kind determines the effect of a revocation. Tokens and API keys stay revoked. For an identity that a
	// gateway sets with each request, only the open connections are closed.
	Kind   Kind
	Issued time.Time // the claim iat; zero if unknown
}

// Grant returns the identity's fields for the comparison with revocations.
func (id Identity) Grant() Grant { return Grant{id.User(), id.TokenID, id.Kind, id.Issued} }

// persists reports whether the client has the grant itself, and so can present it again after a
// revocation. It is true for an unknown kind, because accepting a revoked grant is the worse mistake.
func (g Grant) persists() bool {
	switch g.Kind {
	case KindHeader, KindDev, KindAnonymous:
		return false
	case "":
		return g.Token != "" || !g.Issued.IsZero()
	}
	return true
}

// names reports whether a revocation applies to the user and the token of a grant.
func (r Revocation) names(g Grant) bool {
	return (r.Token == "" || r.Token == g.Token) && (r.User == "" || r.User == g.User)
}

// Matches reports whether a revocation made at a given time closes a connection.
//
// It closes connections of the revoked token. For a revoked user it closes the connections that were
// open at that time, and those whose token was not issued later. The claim iat alone is not sufficient,
// because the issuer's clock may be ahead.
func (r Revocation) Matches(g Grant, opened, at time.Time) bool {
	if !r.names(g) {
		return false
	}
	return r.Token != "" || !opened.After(at) || g.persists() && !g.Issued.After(at)
}

// Check returns an error for a revoked grant. It accepts the kinds KindHeader, KindDev and
// KindAnonymous, which are decided with each request.
func (r *Revocations) Check(g Grant) error {
	if !g.persists() {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, rev := range []Revocation{{User: g.User}, {Token: g.Token}, {User: g.User, Token: g.Token}} {
		if rev == (Revocation{}) {
			continue
		}
		if at, found := r.atLocked(rev); found && (rev.Token != "" || !r.issuedLater(g.Issued, at)) {
			e := &Error{Status: http.StatusUnauthorized, Detail: "the token was revoked; sign in again"}
			e.Challenge = challenge("invalid_token", e.Detail)
			return e
		}
	}
	return nil
}

// RejectRevoked wraps a source to reject requests with a revoked token.
func (r *Revocations) RejectRevoked(source Source) Source {
	return func(req *http.Request) (Identity, error) {
		id, err := source(req)
		if err == nil {
			r.observe(id.Issued)
			err = r.Check(id.Grant())
		}
		return id, err
	}
}
