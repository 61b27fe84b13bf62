package auth_test

import (
	"fmt"
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

// A client that publishes to a subject of a stream chooses where JetStream's acknowledgement goes, also to the
// subject of revocations, where the client may not publish itself. The client chooses parts of the
// acknowledgement too, such as the domain of its leaf node: unknown fields must stay an error.
func TestParseRevocation_AcknowledgementOfJetStream_IsRefused(t *testing.T) {
	for _, text := range []string{
		`{"stream":"NOTIFICATIONS","seq":1}`, `{"stream":"NOTIFICATIONS","domain":"hub","seq":7,"duplicate":true}`,
		`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"NOTIFICATIONS","seq":0}`,
		`{"user":"42","stream":"NOTIFICATIONS","seq":1}`, `{"token":"t","seq":1}`,
	} {
		if got, err := auth.ParseRevocation([]byte(text)); err == nil {
			t.Errorf("%s is taken for %+v", text, got)
		}
	}
}

func TestParseRevocation_LongValues_AreTakenUpTo255Bytes(t *testing.T) {
	most := strings.Repeat("x", 255)
	escaped := strings.Repeat(`\u0041`, 255)
	for _, text := range []string{
		`{"user":"` + most + `"}`, `{"token":"` + most + `"}`, `{"user":"` + escaped + `","token":"` + escaped + `"}`,
	} {
		if _, err := auth.ParseRevocation([]byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// Errors are logged, so their length is limited.
func TestParseRevocation_BadMessage_ErrorIsShort(t *testing.T) {
	long := strings.Repeat("x", 500_000)
	for name, text := range map[string]string{
		"long user":           `{"user":"` + long[:256] + `"}`,
		"long token":          `{"token":"` + long[:256] + `"}`,
		"far too long":        `{"user":"` + long + `"}`,
		"long unknown field":  `{"` + long[:4000] + `":1}`,
		"long number":         `{"user":1` + strings.Repeat("0", 4000) + `}`,
		"not UTF-8":           "{\"user\":\"\xff\"}",
		"a second value":      `{"user":"1"} {"user":"2"}`,
		"text behind":         `{"user":"1"} trailing`,
		"space, far too much": `{"user":"1"` + strings.Repeat(" ", 5000) + `}`,
	} {
		rev, err := auth.ParseRevocation([]byte(text))
		if err == nil {
			t.Errorf("%s: %+v", name, rev)
		} else if n := len(err.Error()); n > 400 {
			t.Errorf("%s: an error of %d bytes", name, n)
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
		"neither iat nor jti":       {auth.Revocation{User: "42"}, token("42", "", time.Time{}), true},
		"iat ahead, in the leeway":  {auth.Revocation{User: "42"}, token("42", "", at.Add(20*time.Second)), true},
		"iat beyond the leeway":     {auth.Revocation{User: "42"}, token("42", "", at.Add(31*time.Second)), false},
		"an API key":                {auth.Revocation{Token: "billing"}, auth.Identity{Kind: auth.KindAPIKey, TokenID: "billing"}, true},
		"another API key":           {auth.Revocation{Token: "billing"}, auth.Identity{Kind: auth.KindAPIKey, TokenID: "b"}, false},
		"a user without a kind":     {auth.Revocation{User: "42"}, auth.Identity{Vars: map[string]string{"user": "42"}, TokenID: "t"}, true},
		"?user=":                    {auth.Revocation{User: "42"}, auth.Identity{Kind: auth.KindDev, Vars: map[string]string{"user": "42"}}, false},
		"another user":              {auth.Revocation{User: "42"}, token("43", "t", before), false},
		"the token":                 {auth.Revocation{Token: "t"}, token("42", "t", before), true},
		"the token, however young":  {auth.Revocation{Token: "t"}, token("42", "t", after), true},
		"another token":             {auth.Revocation{Token: "t"}, token("42", "u", before), false},
		"both":                      {auth.Revocation{User: "42", Token: "t"}, token("42", "t", before), true},
		"both, another user":        {auth.Revocation{User: "42", Token: "t"}, token("43", "t", before), false},
		"nobody":                    {auth.Revocation{User: "42"}, token("", "", before), false},
		"vouched for by a gateway":  {auth.Revocation{User: "42"}, auth.Identity{Kind: auth.KindHeader, Vars: map[string]string{"user": "42"}}, false},
	} {
		r := auth.Revocations{Leeway: 30 * time.Second}
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

func TestRevocations_ListIsFull_OldestAreForgotten(t *testing.T) {
	const most, each = 100_000, 240
	r := auth.Revocations{MaxBytes: most}
	at := time.Unix(1_800_000_000, 0)
	user := func(i int) string { return fmt.Sprintf("%06d", i) }
	dropped := 0
	for i := range 10_000 {
		dropped += r.Add(auth.Revocation{User: user(i)}, at.Add(time.Duration(i)*time.Second))
	}
	for range 100 { // which takes no more room
		dropped += r.Add(auth.Revocation{User: user(9999)}, at.Add(10_000*time.Second))
	}
	status := r.Status()
	if status.Remembered == 0 || status.Remembered > most/each || dropped+status.Remembered != 10_000 || status.Dropped != uint64(dropped) {
		t.Fatalf("%+v, %d dropped", status, dropped)
	}
	check := func(i int) error {
		return r.Check(auth.Grant{User: user(i), Token: "t", Issued: at})
	}
	if check(9999) == nil || check(10_000-status.Remembered) == nil {
		t.Error("one of the latest was forgotten")
	}
	if check(0) != nil || check(9999-status.Remembered) != nil {
		t.Error("one of the oldest is remembered")
	}
}

func TestRevocations_RepeatedRevocation_CountsFromTheLast(t *testing.T) {
	r := auth.Revocations{Keep: time.Hour}
	at := time.Unix(1_800_000_000, 0)
	grant := auth.Grant{User: "42", Token: "t", Issued: at}
	r.Add(auth.Revocation{User: "42"}, at)
	r.Add(auth.Revocation{User: "42"}, at.Add(50*time.Minute))
	r.Add(auth.Revocation{User: "1"}, at.Add(100*time.Minute))
	if r.Check(grant) == nil {
		t.Error("forgotten an hour after the first, not after the last")
	}
	r.Add(auth.Revocation{User: "1"}, at.Add(111*time.Minute))
	if r.Check(grant) != nil || r.Status().Remembered != 1 || r.Status().Dropped != 0 {
		t.Errorf("remembered for longer than Keep: %+v", r.Status())
	}
}

// A stored list is read again after the connection to NATS was lost.
func TestRevocations_OlderRevocationAddedAgain_KeepsTheLaterTime(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	var r auth.Revocations
	for _, when := range []time.Time{at, at.Add(time.Hour), at} {
		r.Add(auth.Revocation{User: "42"}, when)
	}
	if r.Check(auth.Grant{Kind: auth.KindJWT, User: "42", Issued: at.Add(30 * time.Minute)}) == nil {
		t.Error("a token that the later revocation takes back is accepted")
	}
}

// A revocation that is read late does not close connections opened after it.
func TestRevocation_Matches_DecidesByOpeningAndIssue(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	before, after := at.Add(-time.Minute), at.Add(time.Minute)
	user := auth.Revocation{User: "42"}
	for name, c := range map[string]struct {
		rev            auth.Revocation
		kind           auth.Kind
		issued, opened time.Time
		want           bool
	}{
		"gateway, open then":             {user, auth.KindHeader, time.Time{}, before, true},
		"gateway, opened since":          {user, auth.KindHeader, time.Time{}, after, false},
		"?user=, opened since":           {user, auth.KindDev, time.Time{}, after, false},
		"token ahead, open then":         {user, auth.KindJWT, at.Add(20 * time.Second), before, true},
		"token, opened since":            {user, auth.KindJWT, before, after, true},
		"token without iat":              {user, auth.KindJWT, time.Time{}, after, true},
		"token of a new login":           {user, auth.KindJWT, after, after, false},
		"that token, whenever it opened": {auth.Revocation{Token: "t"}, auth.KindJWT, after, after, true},
		"API key":                        {auth.Revocation{Token: "t"}, auth.KindAPIKey, time.Time{}, after, true},
		"another user":                   {auth.Revocation{User: "43"}, auth.KindJWT, before, before, false},
	} {
		if got := c.rev.Matches(auth.Grant{User: "42", Token: "t", Kind: c.kind, Issued: c.issued}, c.opened, at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// If the clocks agree, new logins are accepted. The known lead of an issuer's clock is taken into account,
// also after the iat of a token has passed.
func TestRevocations_IssuerAhead_IsAllowedFor(t *testing.T) {
	at := time.Now().Add(-time.Minute)
	token := func(issued time.Time) auth.Identity {
		return auth.Identity{Kind: auth.KindJWT, Vars: map[string]string{"user": "42"}, Issued: issued}
	}
	r := auth.Revocations{Leeway: time.Minute}
	r.Add(auth.Revocation{User: "42"}, at)
	if err := r.Check(token(at.Add(20 * time.Second)).Grant()); err != nil {
		t.Errorf("a new login: %v", err)
	}
	ahead := time.Now().Add(30 * time.Second)
	_, _ = r.RejectRevoked(func(*http.Request) (auth.Identity, error) {
		return auth.Identity{Kind: auth.KindJWT, Vars: map[string]string{"user": "1"}, Issued: ahead}, nil
	})(nil)
	if r.Check(token(at.Add(20*time.Second)).Grant()) == nil {
		t.Error("a token of an issuer that is ahead is accepted after the revocation")
	}
	if err := r.Check(token(at.Add(40 * time.Second)).Grant()); err != nil {
		t.Errorf("a login after the revocation, by the clock of that issuer: %v", err)
	}
}
