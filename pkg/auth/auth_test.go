package auth_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

// hostile are users that must never become part of a subject.
var hostile = []string{
	".", "a.b", "*", ">", "a*", "a>b", "42.>", " ", "a b", "a\tb", "a\x00b", "a\nb", "a\x7fb",
	"\xff\xfe", "a\u00a0b", "a\u2028b", "\ufeffa", strings.Repeat("x", 256),
}

func status(err error) int {
	if refused, ok := errors.AsType[*auth.Error](err); ok && refused.Error() != "" {
		return refused.Status
	}
	return 0
}

func TestHeader(t *testing.T) {
	type expectation struct {
		values []string
		user   string
		err    error
		status int
	}
	cases := []expectation{
		{nil, "", auth.ErrNoIdentity, 0},
		{[]string{""}, "", auth.ErrNoIdentity, 0},
		{[]string{"42"}, "42", nil, 0},
		{[]string{"Зоя-7_@x"}, "Зоя-7_@x", nil, 0},
		{[]string{"42", "42"}, "", nil, http.StatusBadRequest},
		{[]string{"42", ""}, "", nil, http.StatusBadRequest},
		{[]string{"1, 2"}, "", nil, http.StatusBadRequest}, // as proxies join what came twice
	}
	for _, user := range hostile {
		cases = append(cases, expectation{[]string{user}, "", nil, http.StatusBadRequest})
	}
	source := auth.Header("X-User")
	for _, c := range cases {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["X-User"] = c.values
		id, err := source(r)
		if id.User() != c.user || c.err != nil && !errors.Is(err, c.err) || status(err) != c.status {
			t.Errorf("%q: %+v, %v; want %+v", c.values, id, err, c)
		}
	}
}

// request is one that has come to local from remote.
func request(local, remote, query string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/?"+query, nil)
	r.RemoteAddr = remote
	if local == "" {
		return r
	}
	addr, err := net.ResolveTCPAddr("tcp", local)
	if err != nil {
		panic(err)
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
}

func TestLoopback(t *testing.T) {
	source := auth.Loopback("user")
	for _, c := range []struct {
		local, remote, query string
		user                 string
		status               int
	}{
		{"127.0.0.1:8080", "127.0.0.1:9", "user=42", "42", 0},
		{"[::1]:8080", "[::1]:9", "user=42", "42", 0},
		{"127.0.0.1:8080", "127.9.9.9:9", "user=42", "42", 0},
		{"192.0.2.1:8080", "127.0.0.1:9", "user=42", "", http.StatusForbidden},
		{"127.0.0.1:8080", "192.0.2.7:9", "user=42", "", http.StatusForbidden},
		{"192.0.2.1:8080", "192.0.2.1:9", "user=42", "", http.StatusForbidden},
		{"", "127.0.0.1:9", "user=42", "", http.StatusForbidden},
		{"127.0.0.1:8080", "", "user=42", "", http.StatusForbidden},
		{"127.0.0.1:8080", "@", "user=42", "", http.StatusForbidden}, // a Unix socket
		{"127.0.0.1:8080", "localhost:9", "user=42", "", http.StatusForbidden},
		{"127.0.0.1:8080", "127.0.0.1:9", "user=1&user=2", "", http.StatusBadRequest},
		{"127.0.0.1:8080", "127.0.0.1:9", "user=1&user=", "", http.StatusBadRequest},
	} {
		id, err := source(request(c.local, c.remote, c.query))
		if id.User() != c.user || status(err) != c.status {
			t.Errorf("%+v: %+v, %v", c, id, err)
		}
	}
}

func TestLoopbackWithoutAUser(t *testing.T) {
	for _, query := range []string{"", "user=", "other=1"} {
		if _, err := auth.Loopback("user")(request("127.0.0.1:1", "127.0.0.1:2", query)); !errors.Is(err, auth.ErrNoIdentity) {
			t.Errorf("%q: %v", query, err)
		}
	}
	// Who asks for nobody is not refused: the page of a gateway may carry an empty field.
	if _, err := auth.Loopback("user")(request("192.0.2.1:1", "192.0.2.2:2", "")); !errors.Is(err, auth.ErrNoIdentity) {
		t.Errorf("from afar without a user: %v", err)
	}
}

func TestLoopbackInjection(t *testing.T) {
	for _, user := range hostile {
		id, err := auth.Loopback("user")(request("127.0.0.1:1", "127.0.0.1:2", "user="+url.QueryEscape(user)))
		if id.User() != "" || status(err) != http.StatusBadRequest {
			t.Errorf("%q: %+v, %v", user, id, err)
		}
	}
}

// TestLoopbackBehindAProxy: the other end is the proxy's, whoever stands behind it.
func TestLoopbackBehindAProxy(t *testing.T) {
	for _, header := range []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "Via",
	} {
		for _, value := range []string{"127.0.0.1", "192.0.2.7", ""} {
			r := request("127.0.0.1:1", "127.0.0.1:2", "user=42")
			r.Header.Set(header, value)
			if id, err := auth.Loopback("user")(r); id.User() != "" || status(err) != http.StatusForbidden {
				t.Errorf("%s: %q: %+v, %v", header, value, id, err)
			}
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
