package auth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/pkg/auth"
)

// timed converts durations to times relative to now.
func timed(all map[string]any) map[string]any {
	for name, v := range all {
		if d, ok := v.(time.Duration); ok {
			all[name] = time.Now().Add(d).Unix()
		}
	}
	return all
}

func TestJWTTimes(t *testing.T) {
	const s = time.Second
	type changes = map[string]any
	for name, c := range map[string]struct {
		opts    auth.JWTOptions
		claims  changes
		ok      bool
		expired bool
	}{
		"no exp":                        {auth.JWTOptions{}, changes{"exp": nil}, false, false},
		"no exp is allowed":             {auth.JWTOptions{AllowNoExpiry: true}, changes{"exp": nil}, true, false},
		"exp is checked all the same":   {auth.JWTOptions{AllowNoExpiry: true}, changes{"exp": -31 * s}, false, true},
		"expired":                       {auth.JWTOptions{}, changes{"exp": -31 * s}, false, true},
		"within the leeway":             {auth.JWTOptions{}, changes{"exp": -30 * s}, true, false},
		"without leeway":                {auth.JWTOptions{Leeway: -1}, changes{"exp": -s}, false, true},
		"a longer leeway":               {auth.JWTOptions{Leeway: time.Minute}, changes{"exp": -60 * s}, true, false},
		"exp 0":                         {auth.JWTOptions{}, changes{"exp": 0}, false, true},
		"exp negative":                  {auth.JWTOptions{}, changes{"exp": -1}, false, true},
		"exp with a fraction":           {auth.JWTOptions{}, changes{"exp": 4e9 + .5}, true, false},
		"exp a string":                  {auth.JWTOptions{}, changes{"exp": "4000000000"}, false, false},
		"exp beyond all":                {auth.JWTOptions{}, changes{"exp": 1e300}, false, false},
		"exp a list":                    {auth.JWTOptions{}, changes{"exp": []int64{4e9}}, false, false},
		"not yet":                       {auth.JWTOptions{}, changes{"nbf": 31 * s}, false, false},
		"nearly":                        {auth.JWTOptions{}, changes{"nbf": 30 * s}, true, false},
		"nbf a string":                  {auth.JWTOptions{}, changes{"nbf": "0"}, false, false},
		"nbf so large that it may wrap": {auth.JWTOptions{}, changes{"nbf": 9.2e18}, false, false},
		"of tomorrow":                   {auth.JWTOptions{}, changes{"iat": 24 * time.Hour}, false, false},
		"exp at the bound":              {auth.JWTOptions{}, changes{"exp": 1e11}, true, false},
		"exp in milliseconds":           {auth.JWTOptions{}, changes{"exp": 1e11 + 1}, false, false},
		"exp in ms, none needed":        {auth.JWTOptions{AllowNoExpiry: true}, changes{"exp": 1_800_000_000_000}, false, false},
		"exp in nanoseconds":            {auth.JWTOptions{}, changes{"exp": 1.8e18}, false, false},
		"nbf in milliseconds":           {auth.JWTOptions{}, changes{"nbf": 1_700_000_000_000}, false, false},
		"iat in milliseconds":           {auth.JWTOptions{}, changes{"iat": 1_700_000_000_000}, false, false},
		"as long as allowed":            {auth.JWTOptions{MaxLifetime: time.Hour}, changes{"iat": -time.Minute, "exp": 59 * time.Minute}, true, false},
		"longer":                        {auth.JWTOptions{MaxLifetime: time.Hour}, changes{"iat": -time.Minute, "exp": 59*time.Minute + s}, false, false},
		"longer, nearly over":           {auth.JWTOptions{MaxLifetime: time.Hour}, changes{"iat": -time.Hour, "exp": s}, false, false},
		"no iat, as long as allowed":    {auth.JWTOptions{MaxLifetime: time.Hour}, changes{"exp": time.Hour + 30*s}, true, false},
		"no iat, longer":                {auth.JWTOptions{MaxLifetime: time.Hour}, changes{"exp": time.Hour + 31*s}, false, false},
		"a bound, no exp":               {auth.JWTOptions{MaxLifetime: time.Hour, AllowNoExpiry: true}, changes{"exp": nil}, false, false},
		"a bound, expired":              {auth.JWTOptions{MaxLifetime: time.Hour}, changes{"iat": -2 * time.Hour, "exp": -time.Hour}, false, true},
		"longer than a Duration":        {auth.JWTOptions{MaxLifetime: time.Hour}, changes{"iat": -9e10, "exp": 9e10}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			opts := c.opts
			opts.SecretFile = file(t, secret)
			// The clock of a bubble does not advance by itself, so the test can use the last second of a leeway.
			synctest.Test(t, func(t *testing.T) {
				id, err := openJWT(t, opts).Identify(bearing(hs256(timed(claims(c.claims)))))
				if (err == nil) != c.ok || errors.Is(err, auth.ErrExpired) != c.expired || !c.ok && status(err) != http.StatusUnauthorized {
					t.Errorf("%+v, %v", id, err)
				}
				checkRefusal(t, err)
			})
		})
	}
}

func TestJWT_DateInMilliseconds_NamesTheClaim(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{AllowNoExpiry: true})
	for _, claim := range []string{"exp", "nbf", "iat"} {
		_, err := source.Identify(bearing(hs256(claims(map[string]any{claim: 1_800_000_000_000}))))
		if status(err) != http.StatusUnauthorized || !strings.Contains(err.Error(), claim) || !strings.Contains(err.Error(), "milliseconds") {
			t.Errorf("%s: %v", claim, err)
		}
	}
	_, err := openJWT(t, auth.JWTOptions{MaxLifetime: time.Hour}).Identify(bearing(hs256(timed(claims(map[string]any{"iat": time.Duration(0), "exp": 2 * time.Hour})))))
	if status(err) != http.StatusUnauthorized || !strings.Contains(err.Error(), "max_lifetime") {
		t.Errorf("a token of two hours: %v", err)
	}
}

// The grant ends at the time from which the token is no longer accepted.
func TestJWTExpires(t *testing.T) {
	name := file(t, secret)
	synctest.Test(t, func(t *testing.T) {
		source := openJWT(t, auth.JWTOptions{SecretFile: name, Leeway: time.Minute, AllowNoExpiry: true})
		token := hs256(timed(claims(map[string]any{"exp": time.Hour, "iat": -time.Hour, "jti": "a.b-1"})))
		id, err := source.Identify(bearing(token))
		if err != nil || time.Until(id.Expires) != 61*time.Minute || time.Since(id.Issued) != time.Hour || id.TokenID != "a.b-1" {
			t.Fatalf("%+v, %v", id, err)
		}
		time.Sleep(time.Until(id.Expires))
		if _, err := source.Identify(bearing(token)); err != nil {
			t.Errorf("at the end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := source.Identify(bearing(token)); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("behind the end: %v", err)
		}
		id, err = source.Identify(bearing(hs256(claims(map[string]any{"exp": nil}))))
		if err != nil || !id.Expires.IsZero() || !id.Issued.IsZero() {
			t.Errorf("without an end: %+v, %v", id, err)
		}
	})
}

func TestJWTIssuerAndAudience(t *testing.T) {
	type changes = map[string]any
	iss := auth.JWTOptions{Issuer: "https://id.example/"}
	aud := auth.JWTOptions{Audience: []string{"tidemark", "events"}}
	for name, c := range map[string]struct {
		opts   auth.JWTOptions
		claims changes
		ok     bool
	}{
		"the issuer":                  {iss, changes{"iss": "https://id.example/"}, true},
		"another issuer":              {iss, changes{"iss": "https://id.example"}, false},
		"no issuer":                   {iss, nil, false},
		"an empty issuer":             {iss, changes{"iss": ""}, false},
		"a list of issuers":           {iss, changes{"iss": []string{"https://id.example/"}}, false},
		"any issuer":                  {auth.JWTOptions{}, changes{"iss": "x"}, true},
		"the audience":                {aud, changes{"aud": "tidemark"}, true},
		"one of the audience":         {aud, changes{"aud": []string{"x", "events"}}, true},
		"another audience":            {aud, changes{"aud": []string{"x", "tidemark2"}}, false},
		"an audience by its start":    {aud, changes{"aud": "tide"}, false},
		"no audience":                 {aud, nil, false},
		"an empty audience":           {aud, changes{"aud": []string{}}, false},
		"null for an audience":        {aud, changes{"aud": json.RawMessage("null")}, false},
		"a number among the audience": {aud, changes{"aud": []any{"tidemark", 1}}, false},
		"somebody else's token":       {auth.JWTOptions{}, changes{"aud": "x"}, false},
		"anybody's token":             {auth.JWTOptions{AnyAudience: true}, changes{"aud": "x"}, true},
	} {
		id, err := openJWT(t, c.opts).Identify(bearing(hs256(claims(c.claims))))
		if (err == nil) != c.ok || !c.ok && status(err) != http.StatusUnauthorized {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		checkRefusal(t, err)
	}
}
