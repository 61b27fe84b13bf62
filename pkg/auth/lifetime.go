package auth

import (
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// maxDate bounds the times of a token, in seconds since 1970. A larger number is a time in
// milliseconds, as JavaScript's Date.now() returns it: read as seconds it would last for 50,000
// years. 10^11 s is the year 5138; 10^11 ms was in 1973.
const maxDate = 100_000_000_000

// checkDates refuses times that are not in seconds, whatever else is allowed.
func checkDates(c registered) error {
	for _, date := range []struct {
		claim string
		value *jwt.NumericDate
	}{{"exp", c.Expiry}, {"nbf", c.NotBefore}, {"iat", c.IssuedAt}} {
		if date.value != nil && *date.value > maxDate {
			return invalidToken("the token's claim %s is beyond 10^11: it seems to be in milliseconds; write seconds since 1970", date.claim)
		}
	}
	return nil
}

// checkLifetime bounds the lifetime of a token where JWTOptions.MaxLifetime is set: from iat to
// exp, or from now to exp where the token has no iat. Without iat a token that lasts too long is
// accepted later, when less of it is left. The leeway is added in that case alone, because only
// then two clocks are compared.
func (s *JWTSource) checkLifetime(c registered, now time.Time) error {
	limit := s.opts.MaxLifetime
	if limit == 0 {
		return nil
	}
	if c.Expiry == nil {
		return invalidToken("the token has no exp; one that ends within %v is needed (auth.jwt.max_lifetime)", limit)
	}
	from, since := now.Add(s.opts.Leeway), "now"
	if c.IssuedAt != nil {
		from, since = c.IssuedAt.Time(), "iat"
	}
	if c.Expiry.Time().Sub(from) > limit {
		return invalidToken("the token lasts too long: from %s to exp at most %v are accepted (auth.jwt.max_lifetime)", since, limit)
	}
	return nil
}
