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

	// It reads names with their case, and refuses a name that is there twice: the issuer and
	// this service see the same claims.
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tidemark/tidemark/internal/subject"
)

const (
	maxPatterns = 64
	maxTokenID  = 255
)

// registered are the claims that decide whether a token counts. The subject is not among
// them: it is a variable like any other, and an integer at some issuers.
type registered struct {
	Issuer    string           `json:"iss"`
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	ID        string           `json:"jti"`
}

// identity reads a verified payload.
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

// subjectClaim is the claim sub, which is an integer at some issuers; empty for none.
func subjectClaim(all map[string]any) string {
	switch sub := all["sub"].(type) {
	case string:
		return sub
	case json.Number:
		return sub.String()
	}
	return ""
}

// presence reads a claim that is true or false, and nothing else: what "no" means in some
// other place is not to be guessed.
func (s *JWTSource) presence(all map[string]any) (bool, error) {
	if s.opts.PresenceClaim == "" {
		return false, nil
	}
	value, _ := lookUp(all, s.opts.PresenceClaim)
	switch v := value.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return false, badRequest("the token's claim %s must be true or false", s.opts.PresenceClaim)
}

// readClaims decodes strictly: what is not UTF-8 would be replaced, also within a user's name.
func readClaims(payload []byte, known *registered) (map[string]any, error) {
	var all map[string]any
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.SetNumberType(json.UnmarshalJSONNumber)
	if !utf8.Valid(payload) || dec.Decode(&all) != nil || all == nil || json.Unmarshal(payload, known) != nil {
		return nil, invalidToken("the token's claims cannot be read: a JSON object, in which iss and jti are strings, aud strings, and exp, nbf and iat numbers")
	}
	return all, nil
}

func (s *JWTSource) checkClaims(c registered) error {
	if err := checkDates(c); err != nil {
		return err
	}
	if c.Expiry == nil && !s.opts.AllowNoExpiry {
		return invalidToken("the token never expires (exp); one that does is needed")
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
		return invalidToken("the token is of another issuer (iss)")
	case errors.Is(err, jwt.ErrExpired):
		expired := invalidToken("the token has expired; get a new one")
		expired.Err = ErrExpired
		return expired
	case errors.Is(err, jwt.ErrNotValidYet):
		return invalidToken("the token is not valid yet (nbf); if it is new, a clock is wrong")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return invalidToken("the token was issued in the future (iat); a clock is wrong")
	case err != nil:
		return invalidToken("the token's claims are not those that are needed here")
	}
	return s.checkLifetime(c, time.Now())
}

// checkAudience: RFC 7519 has a service refuse what names an audience that it is not in.
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

// plainText: a token id goes to logs, and is compared with what a revocation says.
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
		if err := fill(vars, name, value, "the token's claim "+path); err != nil {
			return nil, err
		}
		if name == "user" && vars[name] == "" {
			return nil, invalidToken("the token has no claim %s, which names the user", path)
		}
	}
	return vars, nil
}

// text returns the claim as a variable has it; empty for none.
func text(all map[string]any, path string) (string, error) {
	value, _ := lookUp(all, path)
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		// The decoder puts U+FFFD for half of a surrogate pair: two users would become one.
		if !strings.ContainsRune(v, utf8.RuneError) {
			return v, nil
		}
	case json.Number:
		// As it is written, so that no large one is rounded; 4.2e1 and 42.0 are no integers.
		if _, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return v.String(), nil
		}
	}
	return "", badRequest("the token's claim %s must be a string or an integer", path)
}

// lookUp walks a path. Where any part of it is missing, there is nothing.
func lookUp(all map[string]any, path string) (value any, ok bool) {
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

// patterns returns the filters of a claim: nil for no such claim, and an empty list for one.
// Anything else refuses the token, null too: what was to be narrowed must not be given whole.
func patterns(all map[string]any, path string) ([]string, error) {
	value, ok := lookUp(all, path)
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
		if subject.CheckFilter(filters[i]) != nil || strings.ContainsRune(filters[i], utf8.RuneError) { // CheckFilter's words repeat the pattern
			return nil, invalidToken("entry %d of the token's claim %s is no subject pattern: tokens joined by dots, of which * stands for one and > at the end for the rest", i+1, path)
		}
	}
	return filters, nil
}
