package feedhttp_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

func user(name string) auth.Identity {
	return auth.Identity{Vars: map[string]string{"user": name}}
}

func TestFilters(t *testing.T) {
	s := selection(t)
	for _, c := range []struct {
		user   string
		asked  string
		only   bool
		want   string
		status int
	}{
		{"", "", false, "n.all", 0},
		{"42", "", false, "n.all n.user.42", 0},
		{"42", "n.city.x", false, "n.all n.city.x n.user.42", 0},
		{"42", "n.city.x", true, "n.city.x", 0},
		{"", "n.city.*", true, "n.city.*", 0},
		{"", "n.city.x n.city.* n.city.y", true, "n.city.*", 0}, // merged
		{"", "n.topic.> n.topic.a.b n.topic.*.c", true, "n.topic.>", 0},
		{"", "n.topic.*.c n.topic.a.*", true, "n.topic.*.c n.topic.a.*", 0}, // neither covers the other
		{"42", "n.user.42", true, "n.user.42", 0},                           // a default may be asked for alone
		{"42", "n.all n.all", true, "n.all", 0},
		{"42", "n.room.42.a n.room.42.*", true, "n.room.42.*", 0},
		{"42", "n.room.7.a", false, "", http.StatusForbidden},
		{"42", "n.room.*.a", false, "", http.StatusForbidden},
		{"", "n.room.42.a", false, "", http.StatusForbidden},
		{"42", "n.user.7", false, "", http.StatusForbidden},
		{"42", "n.user.*", false, "", http.StatusForbidden},
		{"42", "n.user.>", false, "", http.StatusForbidden},
		{"42", "*.user.42", false, "", http.StatusForbidden},
		{"", ">", false, "", http.StatusForbidden},
		{"", "n.>", false, "", http.StatusForbidden},
		{"", "n.topic", false, "", http.StatusForbidden},
		{"", "n.city.>", false, "", http.StatusForbidden},
		{"", "n.city.x.y", false, "", http.StatusForbidden},
		{"", "n.city.x n.secret", false, "", http.StatusForbidden}, // one is enough
		{"", "$JS.API.>", false, "", http.StatusForbidden},
		{"", "n.city.", false, "", http.StatusBadRequest},
		{"", "n..x", false, "", http.StatusBadRequest},
		{"", "n.topic.>.x", false, "", http.StatusBadRequest},
		{"", "n.city.x*", false, "", http.StatusBadRequest},
		{"", "n.city.{user}", false, "n.all n.city.{user}", 0}, // a token like any other
		{"", "", true, "", http.StatusBadRequest},
		{"", "n.city.s%C3%A3o", false, "", http.StatusBadRequest}, // not canonical
		{"", "n.city.são", false, "n.all n.city.são", 0},
		{"a.b", "", false, "n.all n.user.a%2Eb", 0},
		{"a b@c.d", "n.room.a%20b@c%2Ed.1", false, "n.all n.room.a%20b@c%2Ed.1 n.user.a%20b@c%2Ed", 0},
		{"a.b", "n.room.a.b", false, "", http.StatusForbidden},
		{"a\xff", "", false, "", http.StatusBadRequest},
		{"*", "", true, "", http.StatusBadRequest}, // no ?subject=
	} {
		got, err := s.Filters(user(c.user), strings.Fields(c.asked), c.only)
		status := 0
		if refused, ok := errors.AsType[*auth.Error](err); ok {
			status = refused.Status
		}
		if strings.Join(got, " ") != c.want || status != c.status || status == 0 && err != nil {
			t.Errorf("%+v: got %v, %v", c, got, err)
		}
	}
}

func TestTooManySubjects(t *testing.T) {
	var asked []string
	for n := range feedhttp.MaxSubjects {
		asked = append(asked, fmt.Sprintf("n.topic.%d", n))
	}
	if got, err := selection(t).Filters(auth.Identity{}, asked, true); err != nil || len(got) != feedhttp.MaxSubjects {
		t.Errorf("%d subjects: %v", len(got), err)
	}
	if _, err := selection(t).Filters(auth.Identity{}, append(asked, "n.topic.x"), true); err == nil {
		t.Error("one more is taken")
	}
}

// TestNothingLeft: the refusal says what is missing.
func TestNothingLeft(t *testing.T) {
	for _, c := range []struct {
		defaults []string
		query    string
		says     []string
	}{
		{[]string{"n.user.{user}", "n.room.{user}.a"}, "", []string{"n.user.{user}", "n.room.{user}.a", "send the identity", "?subject="}},
		{[]string{"n.user.{user}"}, "?user=", []string{"n.user.{user}"}},
		{nil, "", []string{"no subjects of its own", "?subject="}},
		{[]string{"n.all"}, "?only=1", []string{"only=1"}},
	} {
		r := newRig(t, setup{opts: feedhttp.SubscribeOptions{Selection: feedhttp.Selection{
			Defaults: templates(t, c.defaults...), Allow: templates(t, "n.city.*"),
		}}})
		resp, body := r.answer(t, http.MethodGet, "/events"+c.query)
		p := problem(t, resp, body)
		for _, word := range c.says {
			if p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, word) {
				t.Errorf("%v %s: %+v does not say %q", c.defaults, c.query, p, word)
			}
		}
	}
}

// TestSelectionOverHTTP: what is chosen is what arrives, and nothing else.
func TestSelectionOverHTTP(t *testing.T) {
	r := newRig(t, setup{})
	alone, _ := r.opened(t, "")
	mine, _ := r.opened(t, "", "X-User", "42")
	again, _ := r.opened(t, "?user=42") // every connection of a user gets everything
	more, _ := r.opened(t, "?user=42&subject=n.city.*&subject=n.topic.a&subject=n.topic.a")
	only, _ := r.opened(t, "?user=42&only=1&subject=n.city.x")
	for _, subject := range []string{"n.all", "n.user.42", "n.user.7", "n.city.x", "n.topic.a", "n.topic.b", "n.user.42.x", "n.all"} {
		r.publish(1, subject)
	}
	r.publish(1, "n.city.x") // 9
	alone.want(t, "1-e1", "8-e1")
	mine.want(t, "1-e1", "2-e1", "8-e1")
	again.want(t, "1-e1", "2-e1", "8-e1")
	more.want(t, "1-e1", "2-e1", "4-e1", "5-e1", "8-e1", "9-e1")
	only.want(t, "4-e1", "9-e1")
}

func TestRefusalsOverHTTP(t *testing.T) {
	r := newRig(t, setup{})
	for _, c := range []struct {
		query  string
		header []string
		status int
		says   string
	}{
		{"?subject=n.user.7", nil, 403, "n.user.7"},
		{"?subject=>", nil, 403, ">"},
		{"?subject=n.city.x&subject=", nil, 400, "subject"},
		{"?subject=n.city.%00", nil, 400, "subject"},
		{"?subject=n.city.%ff", nil, 400, "subject"},
		{"?" + strings.Repeat("subject=n.city.x&", 65), nil, 400, "64"},
		{"?subject=n.city.a%2540b", nil, 400, "write a@b"},
		{"?user=a.b&subject=n.room.a.b.1", nil, 403, "n.room.a.b.1"},
		{"", []string{"X-User", strings.Repeat("x", 256)}, 400, "X-User"},
		{"", []string{"X-User", "\xff"}, 400, "X-User"},
		{"", []string{"X-User", "1", "X-User", "2"}, 400, "X-User"},
		{"?user=%ff", nil, 400, "user"},
		{"?user=1&user=2", nil, 400, "user"},
		{"?user=42", []string{"X-Forwarded-For", "127.0.0.1"}, 403, "auth.identity"},
	} {
		resp, body := r.answer(t, http.MethodGet, "/events"+c.query, c.header...)
		if p := problem(t, resp, body); p.Status != c.status || !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s %q: %+v", c.query, c.header, p)
		}
	}
	if n := r.feed.Status().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions for refused requests", n)
	}
}

// FuzzSelection: whoever asks for whatever gets subsets of what is allowed, or nothing.
func FuzzSelection(f *testing.F) {
	for _, seed := range [][3]string{
		{"42", "n.city.x", "n.topic.>"}, {"*", ">", "n.user.*"}, {">", "n.user.42", ""},
		{"a.b", "n.room.*.x", "*.*.*"}, {"", "n.all", "n..x"}, {"{user}", "n.room.{user}.x", "\xff"},
		{"4 2", "n.city.> ", "n.user.\x00"}, {" ", "n.city.0", "n.topic.0"},
	} {
		f.Add(seed[0], seed[1], seed[2], false)
		f.Add(seed[0], seed[1], seed[2], true)
	}
	s := selection(f)
	f.Fuzz(func(t *testing.T, name, first, second string, only bool) {
		filters, err := s.Filters(user(name), []string{first, second}, only)
		if err != nil {
			if _, ok := errors.AsType[*auth.Error](err); !ok || len(filters) > 0 {
				t.Fatalf("%v with the error %v", filters, err)
			}
			return
		}
		allowed := []string{"n.all", "n.city.*", "n.topic.>"}
		if name != "" {
			allowed = append(allowed, "n.user."+asToken(name), "n.room."+asToken(name)+".*")
		}
		if len(filters) == 0 {
			t.Fatal("no filter, which means everything")
		}
		for _, filter := range filters {
			within(t, filter, allowed)
		}
	})
}

// asToken encodes a value by the rule of docs/concepts/user-ids.md, rather than by what is tested.
func asToken(value string) string {
	var out strings.Builder
	for _, r := range value {
		if strings.ContainsRune(".*>%\u2028\u2029\ufeff", r) || unicode.IsSpace(r) || unicode.IsControl(r) {
			for _, b := range []byte(string(r)) {
				fmt.Fprintf(&out, "%%%02X", b)
			}
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}

// within checks by tokens of its own rather than by what it tests.
func within(t *testing.T, filter string, allowed []string) {
	if err := subject.CheckFilter(filter); err != nil {
		t.Fatalf("%q is no filter: %v", filter, err)
	}
	for _, outer := range allowed {
		if covers(strings.Split(outer, "."), strings.Split(filter, ".")) {
			return
		}
	}
	t.Fatalf("%q is not within %q", filter, allowed)
}

func covers(outer, inner []string) bool {
	for i, tok := range outer {
		if i >= len(inner) {
			return false
		}
		if tok == ">" {
			return true
		}
		if inner[i] == ">" || tok != "*" && tok != inner[i] {
			return false
		}
	}
	return len(outer) == len(inner)
}
