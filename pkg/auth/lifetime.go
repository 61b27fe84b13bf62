package auth

import (
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// maxDate is the latest time of a token, in seconds since 1970. A larger number is a time in
// milliseconds, such as the result of JavaScript's Date.now(). As seconds it would be 50,000 years in
// the future. 10^11 s is the year 5138; 10^11 ms was in 1973.
const maxDate = 100_000_000_000

// checkDates rejects times in milliseconds, regardless of the options.
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

// checkLifetime limits the lifetime of a token to JWTOptions.MaxLifetime: from iat to exp, or from now
// to exp for a token without iat. Such a token is rejected only until its remaining lifetime is within
// the limit. The leeway is added only in this case, because only then two clocks are compared.
func (s *JWTSource) checkLifetime(c registered, now time.Time) error {
	limit := s.opts.MaxLifetime
	if limit == 0 {
		return nil
	}
	if c.Expiry == nil {
		return invalidToken("the token has no exp; set one within %v (auth.jwt.max_lifetime)", limit)
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
