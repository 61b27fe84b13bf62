package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/pkg/auth"
)

func TestParseRevocation(t *testing.T) {
	for text, want := range map[string]auth.Revocation{
		`{"user":"42"}`: {User: "42"}, `{"token":"a.b"}`: {Token: "a.b"}, `{"user":"alice.b@example.com"}`: {User: "alice.b@example.com"}, `{"user":"42","token":"t"}`: {User: "42", Token: "t"},
	} {
		if got, err := auth.ParseRevocation([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `{}`, `{"usr":"42"}`, `{"user":""}`, `[]`, `"42"`, `{"user":42}`, `{"user":"a\ud800"}`, "{\"user\":\"a\xff\"}", `{"user":"` + strings.Repeat("a", 256) + `"}`} {
		if got, err := auth.ParseRevocation([]byte(text)); err == nil {
			t.Errorf("%s is taken for %+v", text, got)
		}
	}
}

func TestRevocations(t *testing.T) {
	at := time.Unix(1_800_000_000, 500)
	token := func(user, id string, issued time.Time) auth.Identity {
		return auth.Identity{Kind: auth.KindJWT, Vars: map[string]string{"user": user}, TokenID: id, Issued: issued}
	}
	before, after := at.Add(-time.Hour), at.Add(time.Hour)
	for name, c := range map[string]struct {
		rev     auth.Revocation
		id      auth.Identity
		refused bool
	}{
		"the user":                  {auth.Revocation{User: "42"}, token("42", "t", before), true},
		"the user in that second":   {auth.Revocation{User: "42"}, token("42", "t", at.Truncate(time.Second)), true},
		"the user, a younger token": {auth.Revocation{User: "42"}, token("42", "t", after), false},
		"the user, no iat":          {auth.Revocation{User: "42"}, token("42", "t", time.Time{}), true},
		"another user":              {auth.Revocation{User: "42"}, token("43", "t", before), false},
		"the token":                 {auth.Revocation{Token: "t"}, token("42", "t", before), true},
		"the token, however young":  {auth.Revocation{Token: "t"}, token("42", "t", after), true},
		"another token":             {auth.Revocation{Token: "t"}, token("42", "u", before), false},
		"both":                      {auth.Revocation{User: "42", Token: "t"}, token("42", "t", before), true},
		"both, another user":        {auth.Revocation{User: "42", Token: "t"}, token("43", "t", before), false},
		"nobody":                    {auth.Revocation{User: "42"}, token("", "", before), false},
		"vouched for by a gateway":  {auth.Revocation{User: "42"}, auth.Identity{Kind: auth.KindHeader, Vars: map[string]string{"user": "42"}}, false},
	} {
		var r auth.Revocations
		r.Add(c.rev, at)
		err := r.Check(c.id.Grant())
		if (err != nil) != c.refused || err != nil && status(err) != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRevocationsAreForgotten(t *testing.T) {
	r := auth.Revocations{Keep: time.Hour}
	at := time.Unix(1_800_000_000, 0)
	id := auth.Identity{Kind: auth.KindJWT, Vars: map[string]string{"user": "42"}, Issued: at}
	r.Add(auth.Revocation{User: "42"}, at)
	r.Add(auth.Revocation{User: "1"}, at.Add(50*time.Minute))
	if r.Check(id.Grant()) == nil {
		t.Error("forgotten too early")
	}
	r.Add(auth.Revocation{User: "2"}, at.Add(61*time.Minute))
	if err := r.Check(id.Grant()); err != nil {
		t.Errorf("still remembered: %v", err)
	}
}
