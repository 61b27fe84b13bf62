package auth

import (
	"bytes"
	"cmp"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	// This decoder matches names by case and rejects duplicate names, so that the issuer and this service
	// read the same claims.
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tidemark/tidemark/internal/subject"
)

const (
	maxPatterns = 64
	maxTokenID  = 255
)

// registered contains the claims for the validation of a token. The subject is not among them: it is an
// ordinary variable, and an integer for some issuers.
type registered struct {
	Issuer    string           `json:"iss"`
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	ID        string           `json:"jti"`
}

// identity converts a verified payload to an identity.
func (s *JWTSource) identity(payload []byte) (Identity, error) {
	var known registered
	all, err := readClaims(payload, &known)
	if err != nil {
		return Identity{}, err
	}
	if err := s.checkClaims(known); err != nil {
		return Identity{}, err
	}
	id := Identity{Kind: KindJWT, TokenID: known.ID, Issued: known.IssuedAt.Time()}
	if known.Expiry != nil {
		id.Expires = known.Expiry.Time().Add(s.opts.Leeway)
	}
	if id.Vars, err = s.variables(all); err != nil {
		return Identity{}, err
	}
	id.Publisher = cmp.Or(subjectClaim(all), id.User(), id.TokenID)
	for _, list := range []struct {
		claim string
		into  *[]string
	}{{s.opts.WidenClaim, &id.Widen}, {s.opts.NarrowClaim, &id.Narrow}, {s.opts.PublishClaim, &id.Publish}} {
		if *list.into, err = patterns(all, list.claim); err != nil {
			return Identity{}, err
		}
	}
	if id.Presence, err = s.presence(all); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// subjectClaim returns the claim sub, or "" if there is none. Some issuers use an integer.
func subjectClaim(all map[string]any) string {
	switch sub := all["sub"].(type) {
	case string:
		return sub
	case json.Number:
		return sub.String()
	}
	return ""
}

// presence reads the presence claim. Only true and false are accepted, as texts such as "no" are
// ambiguous.
func (s *JWTSource) presence(all map[string]any) (bool, error) {
	if s.opts.PresenceClaim == "" {
		return false, nil
	}
	value, _ := claimAt(all, s.opts.PresenceClaim)
	switch v := value.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return false, badRequest("the token's claim %s must be true or false", s.opts.PresenceClaim)
}

// readClaims decodes the claims. It rejects invalid UTF-8, because the decoder would replace it, also
// within a user name.
func readClaims(payload []byte, known *registered) (map[string]any, error) {
	var all map[string]any
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.SetNumberType(json.UnmarshalJSONNumber)
	if !utf8.Valid(payload) || dec.Decode(&all) != nil || all == nil || json.Unmarshal(payload, known) != nil {
		return nil, invalidToken("the token's claims cannot be read; send a JSON object with iss and jti as strings, aud as a string or strings, and exp, nbf and iat as numbers")
	}
	return all, nil
}

func (s *JWTSource) checkClaims(c registered) error {
	if err := checkDates(c); err != nil {
		return err
	}
	if c.Expiry == nil && !s.opts.AllowNoExpiry {
		return invalidToken("the token does not expire; set the claim exp")
	}
	if !plainText(c.ID) {
		return invalidToken("the token's id (jti) is longer than %d bytes, or not plain text", maxTokenID)
	}
	if err := s.checkAudience(c.Audience); err != nil {
		return err
	}
	all := jwt.Claims{Issuer: c.Issuer, Expiry: c.Expiry, NotBefore: c.NotBefore, IssuedAt: c.IssuedAt}
	err := all.ValidateWithLeeway(jwt.Expected{Issuer: s.opts.Issuer, Time: time.Now()}, s.opts.Leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return invalidToken("the token is from another issuer (iss)")
	case errors.Is(err, jwt.ErrExpired):
		expired := invalidToken("the token has expired; get a new one")
		expired.Err = ErrExpired
		return expired
	case errors.Is(err, jwt.ErrNotValidYet):
		return invalidToken("the token is not valid yet (nbf); if it is new, a clock is wrong")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return invalidToken("the token was issued in the future (iat); a clock is wrong")
	case err != nil:
		return invalidToken("the token's claims are not accepted here")
	}
	return s.checkLifetime(c, time.Now())
}

// checkAudience rejects tokens for other services, as RFC 7519 requires.
func (s *JWTSource) checkAudience(aud jwt.Audience) error {
	if s.opts.AnyAudience || len(s.opts.Audience) == 0 && len(aud) == 0 {
		return nil
	}
	for _, name := range s.opts.Audience {
		if aud.Contains(name) {
			return nil
		}
	}
	return invalidToken("the token is not for this service (aud)")
}

// plainText reports whether a token id can be logged and compared with revocations.
func plainText(s string) bool {
	return len(s) <= maxTokenID && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

func (s *JWTSource) variables(all map[string]any) (map[string]string, error) {
	vars := make(map[string]string, len(s.opts.Claims))
	for name, path := range s.opts.Claims {
		value, err := text(all, path)
		if err != nil {
			return nil, err
		}
		if err := setVar(vars, name, value, "the token's claim "+path); err != nil {
			return nil, err
		}
		if name == "user" && vars[name] == "" {
			return nil, invalidToken("the token has no claim %s for the user", path)
		}
	}
	return vars, nil
}

// text returns the text of a claim for a variable, or "" if there is none.
func text(all map[string]any, path string) (string, error) {
	value, _ := claimAt(all, path)
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		// The decoder replaces half of a surrogate pair by U+FFFD. Two users would become the same.
		if !strings.ContainsRune(v, utf8.RuneError) {
			return v, nil
		}
	case json.Number:
		// The text of the number, so that large integers are not rounded. 4.2e1 and 42.0 are rejected.
		if _, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return v.String(), nil
		}
	}
	return "", badRequest("the token's claim %s must be a string or an integer", path)
}

// claimAt returns the claim at a path. ok is false if any part of the path is missing.
func claimAt(all map[string]any, path string) (value any, ok bool) {
	if v, ok := all[path]; ok {
		return v, true
	}
	value = all
	for name := range strings.SplitSeq(path, ".") {
		within, _ := value.(map[string]any)
		if value, ok = within[name]; !ok {
			return nil, false
		}
	}
	return value, true
}

// patterns returns the filters of a claim: nil without the claim, and an empty list for an empty claim.
// Any other value, including null, rejects the token: otherwise a token with an invalid restriction
// would be unrestricted.
func patterns(all map[string]any, path string) ([]string, error) {
	value, ok := claimAt(all, path)
	if path == "" || !ok {
		return nil, nil
	}
	if one, ok := value.(string); ok {
		value = []any{one}
	}
	list, ok := value.([]any)
	if !ok || len(list) > maxPatterns {
		return nil, invalidToken("the token's claim %s must be a subject pattern or a list of at most %d", path, maxPatterns)
	}
	filters := make([]string, len(list))
	for i, v := range list {
		filters[i], _ = v.(string)
		if subject.CheckFilter(filters[i]) != nil || strings.ContainsRune(filters[i], utf8.RuneError) { // the error of CheckFilter contains the pattern
			return nil, invalidToken("entry %d of the token's claim %s is not a subject pattern; write tokens joined by dots, * for one token and > at the end for the rest", i+1, path)
		}
	}
	return filters, nil
}
