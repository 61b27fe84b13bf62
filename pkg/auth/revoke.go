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

// Grant is what a revocation looks at of an identity.
type Grant struct {
	User, Token string
	Issued      time.Time // zero when that is not known
}

// Grant returns what a revocation would look at.
func (id Identity) Grant() Grant { return Grant{id.User(), id.TokenID, id.Issued} }

// Hits reports whether a grant is taken back by a revocation at that time. Who is vouched for
// anew with each request, by a gateway say, is hit as long as it is connected.
func (r Revocation) Hits(g Grant, at time.Time) bool {
	if r.Token != "" && r.Token != g.Token || r.User != "" && r.User != g.User {
		return false
	}
	// The claim iat counts in whole seconds.
	return r.Token != "" || g.Issued.IsZero() || !g.Issued.After(at)
}

// Check refuses a grant that was revoked. A grant without a token is none of its business:
// whoever vouches for it does so anew with each request.
func (r *Revocations) Check(g Grant) error {
	if g.Token == "" && g.Issued.IsZero() {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, rev := range []Revocation{{User: g.User}, {Token: g.Token}, {User: g.User, Token: g.Token}} {
		if rev == (Revocation{}) {
			continue
		}
		if at, found := r.atLocked(rev); found && rev.Hits(g, at) {
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
			err = r.Check(id.Grant())
		}
		return id, err
	}
}
