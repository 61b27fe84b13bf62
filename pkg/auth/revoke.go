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

// Revocation takes a grant back before it expires: of all tokens of a user that were issued
// up to now, or of one token. With both it is that token, if it is that user's.
type Revocation struct {
	User  string `json:"user,omitempty"`
	Token string `json:"token,omitempty"` // Identity.TokenID: a token's jti, or an API key's name
}

// maxRevocation bounds the message of a revocation: room for both fields, escaped.
const maxRevocation = 4 << 10

// ParseRevocation reads {"user":"42"} or {"token":"a jti"}. Anything unknown in it is an
// error: a misspelt field would revoke something else. A user or a token has at most 255 bytes.
// Errors are short, whatever the message holds.
func ParseRevocation(data []byte) (Revocation, error) {
	var r Revocation
	switch {
	case len(data) > maxRevocation:
		return r, fmt.Errorf("revocation: the message has %d bytes, of at most %d", len(data), maxRevocation)
	case !utf8.Valid(data):
		return r, errors.New("revocation: the message is not UTF-8") // else U+FFFD would be revoked
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return Revocation{}, fmt.Errorf(`revocation: %.200s; send {"user":"42"} or {"token":"the token's jti"}`, err.Error())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Revocation{}, errors.New("revocation: the message goes on after its JSON value")
	}
	return r, r.Check()
}

// Check refuses a revocation that can have no effect: of no user and no token, or of a user or token
// that no identity can have. The user is the plain value, not its encoding in subjects. The JSON
// decoder puts U+FFFD where the text is not valid UTF-8.
func (r Revocation) Check() error {
	switch {
	case r == Revocation{}:
		return errors.New(`revocation: it names neither a user nor a token`)
	case len(r.Token) > maxTokenID:
		return fmt.Errorf("revocation: the token has %d bytes, of at most %d", len(r.Token), maxTokenID)
	case r.User == "":
		return nil
	}
	err := subject.CheckValue(r.User)
	if err == nil && strings.ContainsRune(r.User, utf8.RuneError) {
		err = subject.ErrNotUTF8
	}
	if err != nil {
		return fmt.Errorf("revocation: the user %w", err)
	}
	return nil
}

// Grant is what a revocation compares itself with. Feeds keep one for each connection.
type Grant struct {
	User, Token string
	// Kind decides what a revocation does: tokens and API keys stay revoked; an identity that a gateway
	// vouches for with each request loses only the connections that it had.
	Kind   Kind
	Issued time.Time // the claim iat; zero when that is not known
}

// Grant returns what a revocation compares itself with.
func (id Identity) Grant() Grant { return Grant{id.User(), id.TokenID, id.Kind, id.Issued} }

// lasts reports whether the client carries the grant, and so can present it again after a
// revocation. A kind that is not known counts as lasting: to let it in would be the worse mistake.
func (g Grant) lasts() bool {
	switch g.Kind {
	case KindHeader, KindDev, KindAnonymous:
		return false
	case "":
		return g.Token != "" || !g.Issued.IsZero()
	}
	return true
}

// names reports whether a grant is of the user and the token that a revocation names.
func (r Revocation) names(g Grant) bool {
	return (r.Token == "" || r.Token == g.Token) && (r.User == "" || r.User == g.User)
}

// Matches reports whether a revocation made at a time ends a connection: one of that token, and one of
// that user that was open at that time, or whose token does not say that it was issued later. The
// claim iat alone does not decide, since the clock of its issuer may be ahead.
func (r Revocation) Matches(g Grant, opened, at time.Time) bool {
	if !r.names(g) {
		return false
	}
	return r.Token != "" || !opened.After(at) || g.lasts() && !g.Issued.After(at)
}

// Check refuses a grant that was revoked. It never refuses one of a gateway (KindHeader), of
// ?user= (KindDev) or an anonymous one: whether these are let in is decided with each request.
func (r *Revocations) Check(g Grant) error {
	if !g.lasts() {
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

// Guard is source, but for those whose token was revoked.
func (r *Revocations) Guard(source Source) Source {
	return func(req *http.Request) (Identity, error) {
		id, err := source(req)
		if err == nil {
			r.observe(id.Issued)
			err = r.Check(id.Grant())
		}
		return id, err
	}
}
