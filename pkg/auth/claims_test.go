package auth_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

type object = map[string]any

func TestJWTVariables(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{Claims: map[string]string{
		"user": "sub", "city": "address.city", "deep": "a.b.c", "named": "https://example.com/named",
	}})
	for name, c := range map[string]struct {
		claims object
		vars   map[string]string
		status int
	}{
		"the user alone":          {nil, map[string]string{"user": "42"}, 0},
		"an integer":              {object{"sub": 7}, map[string]string{"user": "7"}, 0},
		"a large integer":         {object{"sub": json.RawMessage("9007199254740993")}, map[string]string{"user": "9007199254740993"}, 0},
		"a negative integer":      {object{"sub": -7}, map[string]string{"user": "-7"}, 0},
		"a path":                  {object{"address": object{"city": "Bern", "x": []int{1}}}, map[string]string{"user": "42", "city": "Bern"}, 0},
		"a longer path":           {object{"a": object{"b": object{"c": 1}}}, map[string]string{"user": "42", "deep": "1"}, 0},
		"a whole name goes first": {object{"address.city": "Bern", "address": object{"city": "Rome"}}, map[string]string{"user": "42", "city": "Bern"}, 0},
		"a name that is a URL":    {object{"https://example.com/named": "x"}, map[string]string{"user": "42", "named": "x"}, 0},
		"a path through nothing":  {object{"address": "Bern", "a": object{"b": []any{object{"c": 1}}}}, map[string]string{"user": "42"}, 0},
		"null":                    {object{"address": object{"city": nil}}, map[string]string{"user": "42"}, 0},
		"empty":                   {object{"address": object{"city": ""}}, map[string]string{"user": "42"}, 0},
		"escaped":                 {object{"sub": json.RawMessage(`"\u0034\u0032"`)}, map[string]string{"user": "42"}, 0},
		"no user":                 {object{"sub": nil}, nil, http.StatusUnauthorized},
		"an empty user":           {object{"sub": ""}, nil, http.StatusUnauthorized},
		"null for a user":         {object{"sub": json.RawMessage("null")}, nil, http.StatusUnauthorized},
		"a fraction":              {object{"address": object{"city": 1.5}}, nil, http.StatusBadRequest},
		"a fraction of nothing":   {object{"address": object{"city": json.RawMessage("42.0")}}, nil, http.StatusBadRequest},
		"an exponent":             {object{"address": object{"city": json.RawMessage("4e1")}}, nil, http.StatusBadRequest},
		"beyond 64 bits":          {object{"address": object{"city": json.RawMessage("99999999999999999999")}}, nil, http.StatusBadRequest},
		"true":                    {object{"address": object{"city": true}}, nil, http.StatusBadRequest},
		"a list":                  {object{"address": object{"city": []string{"Bern"}}}, nil, http.StatusBadRequest},
		"an object":               {object{"address": object{"city": object{}}}, nil, http.StatusBadRequest},
		"half a surrogate pair":   {object{"sub": json.RawMessage(`"a\ud800"`)}, nil, http.StatusBadRequest},
	} {
		token := hs256(claims(c.claims))
		id, err := source.Identify(bearing(token))
		if !maps.Equal(id.Vars, c.vars) || status(err) != c.status {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		checkRefusal(t, err, token)
	}
}

func TestJWTInjection(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{Claims: map[string]string{"user": "sub", "city": "address.city"}})
	for _, value := range hostile {
		for name, all := range map[string]object{
			"user": claims(object{"sub": value}), "city": claims(object{"address": object{"city": value}}),
		} {
			// json.Marshal replaces invalid UTF-8 by U+FFFD; TestJWTMalformed has the original bytes.
			id, err := source.Identify(bearing(hs256(all)))
			if want := valueStatus(value); status(err) != want || (id.Vars[name] == value) != (want == 0) {
				t.Errorf("%s %q: %+v, %v", name, value, id, err)
			}
			if err == nil {
				checkToken(t, "jwt", name, value)
			}
			if len(value) > 2 {
				checkRefusal(t, err, value)
			}
		}
	}
}

func TestJWTPatterns(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{WidenClaim: "wide", NarrowClaim: "rights.read", PublishClaim: "publish"})
	many := slices.Repeat([]string{"a.b"}, 65)
	for name, c := range map[string]struct {
		value any
		want  []string
		ok    bool
	}{
		"one":            {"a.*.>", []string{"a.*.>"}, true},
		"a list":         {[]string{"a.b", ">"}, []string{"a.b", ">"}, true},
		"as many as go":  {many[:64], many[:64], true},
		"too many":       {many, nil, false},
		"an empty list":  {[]string{}, []string{}, true},
		"null":           {json.RawMessage("null"), nil, false},
		"nothing":        {"", nil, false},
		"a number":       {1, nil, false},
		"an object":      {object{"a": "b"}, nil, false},
		"a list of null": {[]any{nil}, nil, false},
		"a number in it": {[]any{"a", 1}, nil, false},
		"a list in it":   {[]any{[]string{"a"}}, nil, false},
		"an empty one":   {[]string{"a", ""}, nil, false},
		"two in one":     {"a.b c.d", nil, false},
		"a > within":     {"a.>.b", nil, false},
		"an empty token": {"a..b", nil, false},
		"a part of one":  {"a*.b", nil, false},
		"a line break":   {"a\nb", nil, false},
		"half a pair":    {json.RawMessage(`"a.\ud800"`), nil, false},
		"not canonical":  {[]string{"news.alice%40example%2Ecom"}, nil, false},
		"canonical":      {[]string{"news.alice@example%2Ecom"}, []string{"news.alice@example%2Ecom"}, true},
		"too long":       {strings.Repeat("a", 1025), nil, false},
	} {
		for claim, get := range map[string]func(auth.Identity) []string{
			"wide":    func(id auth.Identity) []string { return id.Widen },
			"read":    func(id auth.Identity) []string { return id.Narrow },
			"publish": func(id auth.Identity) []string { return id.Publish },
		} {
			changes := object{claim: c.value}
			if claim == "read" {
				changes = object{"rights": changes}
			}
			token := hs256(claims(changes))
			id, err := source.Identify(bearing(token))
			if (err == nil) != c.ok || !c.ok && status(err) != http.StatusUnauthorized || !slices.Equal(get(id), c.want) || (get(id) == nil) != (c.want == nil) {
				t.Errorf("%s: %s: %+v, %v", name, claim, id, err)
			}
			checkRefusal(t, err, token)
			if text, ok := c.value.(string); ok && len(text) > 2 {
				checkRefusal(t, err, text)
			}
		}
	}
	id, err := source.Identify(bearing(hs256(claims(nil))))
	if err != nil || id.Widen != nil || id.Narrow != nil || id.Publish != nil {
		t.Errorf("without such claims: %+v, %v", id, err)
	}
}

// A claim is used only if the options name it.
func TestJWTPatternsAreOptIn(t *testing.T) {
	all := claims(object{"": ">", "wide": ">", "publish": ">", "Publish": ">"})
	if id, err := openJWT(t, auth.JWTOptions{}).Identify(bearing(hs256(all))); err != nil || id.Widen != nil || id.Narrow != nil || id.Publish != nil {
		t.Errorf("%+v, %v", id, err)
	}
	both := auth.JWTOptions{WidenClaim: "wide", NarrowClaim: "wide"} // one claim may do both
	if id, err := openJWT(t, both).Identify(bearing(hs256(all))); err != nil || len(id.Widen) != 1 || len(id.Narrow) != 1 {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestJWTTokenID(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{})
	for _, jti := range []any{strings.Repeat("x", 256), "a\nb", "a\x00", "a\u2028b", 1, []string{"x"}} {
		if id, err := source.Identify(bearing(hs256(claims(object{"jti": jti})))); status(err) != http.StatusUnauthorized {
			t.Errorf("%q: %+v, %v", jti, id, err)
		}
	}
	for _, jti := range []string{"", "urn:uuid:1", "a.b", strings.Repeat("x", 255)} {
		if id, err := source.Identify(bearing(hs256(claims(object{"jti": jti})))); err != nil || id.TokenID != jti {
			t.Errorf("%q: %+v, %v", jti, id, err)
		}
	}
}
