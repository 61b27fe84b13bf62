package auth_test

import (
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

func TestTagger_Identities_AccountsHaveTagsOfTheirOwn(t *testing.T) {
	var tags auth.Tagger
	jwt := func(pairs ...string) auth.Identity {
		id := auth.Identity{Kind: auth.KindJWT, Vars: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			id.Vars[pairs[i]] = pairs[i+1]
		}
		return id
	}
	if tags.Ready() || tags.Tag(jwt("user", "42")) != "" {
		t.Error("a tag without a key")
	}
	tags.SetKey([]byte("0123456789abcdef"))
	seen := map[string]int{}
	for i, id := range []auth.Identity{
		{}, jwt(), jwt("user", "42"), jwt("user", "43"), jwt("user", "42", "tenant", "a"), jwt("user", "42", "tenant", "b"),
		jwt("user", "42", "tenan", "ta"), jwt("use", "r42"), {Kind: auth.KindHeader, Vars: map[string]string{"user": "42"}},
		{Kind: auth.KindAPIKey, TokenID: "a"}, {Kind: auth.KindAPIKey, TokenID: "b"},
	} {
		tag := tags.Tag(id)
		if other, found := seen[tag]; found || len(tag) != 22 {
			t.Errorf("identity %d has the tag %q, as identity %d", i, tag, other)
		}
		seen[tag] = i
	}
	renewed := jwt("user", "42")
	renewed.TokenID, renewed.Publish = "another", []string{">"}
	if tags.Tag(renewed) != tags.Tag(jwt("user", "42")) || tags.Tag(auth.Identity{Kind: auth.KindAnonymous}) != tags.Tag(auth.Identity{}) {
		t.Error("one account has two tags")
	}
	before := tags.Tag(renewed)
	tags.SetKey([]byte("another key, that is as long"))
	if tags.Tag(renewed) == before {
		t.Error("the tag does not depend on the key")
	}
}
