package auth_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

// hostile contains values that must never become part of a subject unencoded.
var hostile = []string{
	".", "a.b", "*", ">", "a*", "a>b", "42.>", " ", "a b", "a\tb", "a\x00b", "a\nb", "a\x7fb",
	"\xff\xfe", "a\u00a0b", "a\u2028b", "\ufeffa", strings.Repeat("x", 256),
}

// valueStatus returns the expected status for such a value. Values that can be encoded are accepted.
func valueStatus(value string) int {
	if len(value) > 255 || !utf8.ValidString(value) {
		return http.StatusBadRequest
	}
	return 0
}

func status(err error) int {
	if refused, ok := errors.AsType[*auth.Error](err); ok && refused.Error() != "" {
		return refused.Status
	}
	return 0
}

// request returns a request received at the address local from the address remote.
func request(local, remote, query string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/?"+query, nil)
	r.RemoteAddr, r.Host = remote, "localhost:8080"
	if local == "" {
		return r
	}
	addr, err := net.ResolveTCPAddr("tcp", local)
	if err != nil {
		panic(err)
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
}

// checkIdentity checks the guarantees for every identity.
func checkIdentity(t *testing.T, name string, source auth.Source, r *http.Request) {
	t.Helper()
	id, err := source(r)
	if err != nil {
		if id.Vars != nil || !errors.Is(err, auth.ErrNoIdentity) && status(err) == 0 {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		return
	}
	for variable, value := range id.Vars {
		checkToken(t, name, variable, value)
	}
	for _, f := range slices.Concat(id.Widen, id.Narrow, id.Publish) {
		if err := subject.CheckFilter(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFirst(t *testing.T) {
	named := func(user string) auth.Source {
		return func(*http.Request) (auth.Identity, error) {
			return auth.Identity{Vars: map[string]string{"user": user}}, nil
		}
	}
	nobody := func(*http.Request) (auth.Identity, error) { return auth.Identity{}, auth.ErrNoIdentity }
	refusal := func(*http.Request) (auth.Identity, error) {
		return auth.Identity{}, &auth.Error{Status: http.StatusUnauthorized, Detail: "expired"}
	}
	for name, c := range map[string]struct {
		sources []auth.Source
		user    string
		status  int
	}{
		"nothing to ask":          {nil, "", 0},
		"nobody":                  {[]auth.Source{nobody, nobody}, "", 0},
		"the first":               {[]auth.Source{named("a"), named("b")}, "a", 0},
		"the next":                {[]auth.Source{nobody, named("b"), refusal}, "b", 0},
		"a refusal is no nothing": {[]auth.Source{nobody, refusal, named("b")}, "", http.StatusUnauthorized},
	} {
		id, err := auth.First(c.sources...)(httptest.NewRequest(http.MethodGet, "/", nil))
		if id.User() != c.user || status(err) != c.status || c.status == 0 && err != nil {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

func TestRequired(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	header := auth.Header(auth.HeaderOptions{Trusted: auth.AnyAddress()}).Identify

	_, err := auth.Required(header)(r)
	refused, ok := errors.AsType[*auth.Error](err)
	if !ok || refused.Status != http.StatusUnauthorized || refused.Challenge == "" || errors.Is(err, auth.ErrNoIdentity) {
		t.Errorf("nobody: %v", err)
	}
	if _, again := auth.First(auth.Required(header), auth.Anonymous())(r); status(again) != http.StatusUnauthorized {
		t.Errorf("a refusal within a list: %v", again)
	}
	id, err := auth.Required(header, auth.Anonymous())(r)
	if err != nil || id.Kind != auth.KindAnonymous || id.User() != "" {
		t.Errorf("anonymous clients are wanted: %+v, %v", id, err)
	}
	r.Header.Set("X-User", "a\xff")
	if _, err := auth.Required(header, auth.Anonymous())(r); status(err) != http.StatusBadRequest {
		t.Errorf("a refusal does not become anonymous: %v", err)
	}
}

// checkToken checks that a value becomes one token, and that the token decodes to the same value.
func checkToken(t *testing.T, name, variable, value string) {
	t.Helper()
	tmpl, err := subject.ParseTemplate("a.{v}.b")
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := tmpl.Expand(map[string]string{"v": value})
	tokens := strings.Split(got, ".")
	if err != nil || !ok || len(tokens) != 3 || subject.Check(got) != nil {
		t.Errorf("%s: {%s} %q becomes %q, %v", name, variable, value, got, err)
		return
	}
	if back, err := url.PathUnescape(tokens[1]); err != nil || back != value {
		t.Errorf("%s: {%s} %q becomes %q, which is %q, %v", name, variable, value, got, back, err)
	}
}
