package auth_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

func TestMayPublish(t *testing.T) {
	id := auth.Identity{Publish: []string{"codes.*", "news.>"}}
	for subject, want := range map[string]bool{
		"codes.7": true, "news.a.b": true, "codes": false, "codes.7.x": false, "news": false, "other": false,
	} {
		if id.MayPublish(subject) != want {
			t.Errorf("%s: %t", subject, !want)
		}
		if (auth.Identity{}).MayPublish(subject) {
			t.Errorf("the anonymous may publish to %s", subject)
		}
	}
}

func TestRestrict(t *testing.T) {
	for _, c := range []struct{ filters, narrow, want string }{
		{"a.b", "a.b", "a.b"},
		{"a.>", "a.b", "a.b"},
		{"a.b", "a.>", "a.b"},
		{"a.*.c", "a.b.*", "a.b.c"},
		{"a.*", "a.>", "a.*"},
		{"*.b.>", "a.>", "a.b.>"},
		{">", "a.*", "a.*"},
		{"a.b a.c", "a.*", "a.b a.c"},
		{"a.>", "a.b a.c", "a.b a.c"},
		{"a.> a.*", "a.b", "a.b"},
		{"a.b", "a.c", ""},
		{"a", "a.>", ""},
		{"a.b", "a", ""},
		{"a.*", "a.b.c", ""},
		{"a.>", "", ""},
	} {
		id := auth.Identity{Narrow: strings.Fields(c.narrow)}
		if id.Narrow == nil {
			id.Narrow = []string{}
		}
		if got := id.Restrict(strings.Fields(c.filters)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%q within %q: %q", c.filters, c.narrow, got)
		}
	}
	if got := (auth.Identity{}).Restrict([]string{"a.>"}); !slices.Equal(got, []string{"a.>"}) {
		t.Errorf("without Narrow: %q", got)
	}
}

// For all short filters, the result is compared with the matches of single subjects.
func TestRestrictIsExact(t *testing.T) {
	filters, subjects := words("a", "b", "*", ">"), words("a", "b", "c")
	filters = slices.DeleteFunc(filters, func(f string) bool { return subject.CheckFilter(f) != nil })
	for _, f := range filters {
		for _, n := range filters {
			left := auth.Identity{Narrow: []string{n}}.Restrict([]string{f})
			for _, got := range left {
				if err := subject.CheckFilter(got); err != nil {
					t.Fatalf("%s within %s: %v", f, n, err)
				}
			}
			for _, s := range subjects {
				want := subject.Matches(f, s) && subject.Matches(n, s)
				if got := slices.ContainsFunc(left, func(l string) bool { return subject.Matches(l, s) }); got != want {
					t.Fatalf("%s within %s is %q: %s matches: %t", f, n, left, s, got)
				}
			}
		}
	}
}

// words returns all filters of up to three tokens.
func words(tokens ...string) (all []string) {
	last := []string{""}
	for range 3 {
		var next []string
		for _, w := range last {
			for _, tok := range tokens {
				next = append(next, strings.TrimPrefix(w+"."+tok, "."))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// FuzzIdentityValue checks that each accepted value is encoded as one token.
func FuzzIdentityValue(f *testing.F) {
	for _, value := range append(hostile, "42", "Зоя-7_@x", "") {
		f.Add(value)
	}
	token := openJWT(f, auth.JWTOptions{Claims: map[string]string{"user": "sub", "city": "address.city"}, PublishClaim: "publish"})
	sources := map[string]auth.Source{
		"header": auth.Header(auth.HeaderOptions{Vars: map[string]string{"city": "X-City"}, Trusted: auth.AnyAddress()}).Identify,
		"dev":    auth.Dev("user"),
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := request("127.0.0.1:1", "127.0.0.1:2", "user="+url.QueryEscape(value))
		r.Header["X-User"], r.Header["X-City"] = []string{value}, []string{value}
		for name, source := range sources {
			checkIdentity(t, name, source, r)
		}
		signed := bearing(hs256(claims(object{"sub": value, "address": object{"city": value}})))
		checkIdentity(t, "jwt", token.Identify, signed)
		checkIdentity(t, "jwt", token.Identify, bearing(hs256(claims(object{"publish": []string{value}}))))
	})
}
