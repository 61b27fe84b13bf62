package auth_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

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
		{[]string{"CN=Bob, OU=People"}, "CN=Bob, OU=People", nil, 0},
		{[]string{"alice%40example.com"}, "alice%40example.com", nil, 0}, // not decoded
	}
	for _, user := range hostile {
		if want := valueStatus(user); want != 0 {
			cases = append(cases, expectation{[]string{user}, "", nil, want})
		} else {
			cases = append(cases, expectation{[]string{user}, user, nil, 0})
		}
	}
	source := auth.Header(auth.HeaderOptions{Trusted: auth.AnyAddress()}).Identify
	for _, c := range cases {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["X-User"] = c.values
		id, err := source(r)
		if id.User() != c.user || c.err != nil && !errors.Is(err, c.err) || status(err) != c.status {
			t.Errorf("%q: %+v, %v; want %+v", c.values, id, err, c)
		}
	}
}

// from returns a request of a peer, with headers as name, value, ...
func from(peer string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = peer
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, p := range all {
		parsed = append(parsed, netip.MustParsePrefix(p))
	}
	return parsed
}

func TestHeaderVariables(t *testing.T) {
	source := auth.Header(auth.HeaderOptions{
		User: "X-Id", Vars: map[string]string{"city": "X-City", "user": "X-Other", "": ""}, Trusted: prefixes("10.0.0.0/8"),
	})
	for _, c := range []struct {
		headers []string
		vars    map[string]string
		status  int
	}{
		{[]string{"X-Id", "42", "X-City", "Bern"}, map[string]string{"user": "42", "city": "Bern"}, 0},
		{[]string{"X-Id", "42"}, map[string]string{"user": "42"}, 0},
		{[]string{"X-Id", "42", "X-City", ""}, map[string]string{"user": "42"}, 0},
		{[]string{"X-Id", "42", "X-Other", "43"}, map[string]string{"user": "42"}, 0},
		{[]string{"X-City", "Bern"}, nil, 0}, // an empty user
		{[]string{"X-City", "Bern", "X-Id", ""}, nil, 0},
		{[]string{"X-Id", "42", "X-City", "a.b"}, map[string]string{"user": "42", "city": "a.b"}, 0},
		{[]string{"X-Id", "42", "X-City", "Bern", "X-City", "Bern"}, nil, http.StatusBadRequest},
		{[]string{"X-City", "Bern", "X-City", "Bern"}, nil, http.StatusBadRequest},
	} {
		id, err := source.Identify(from("10.1.2.3:4", c.headers...))
		if !maps.Equal(id.Vars, c.vars) || status(err) != c.status {
			t.Errorf("%q: %+v, %v", c.headers, id, err)
		}
		if noID := c.vars == nil && c.status == 0; noID != errors.Is(err, auth.ErrNoIdentity) || c.vars != nil && id.Kind != auth.KindHeader {
			t.Errorf("%q: %+v, %v", c.headers, id, err)
		}
	}
	for _, value := range hostile {
		if id, err := source.Identify(from("10.1.2.3:4", "X-Id", "42", "X-City", value)); status(err) != valueStatus(value) || (id.Vars["city"] == value) != (err == nil) {
			t.Errorf("%q: %+v, %v", value, id, err)
		}
	}
	if source.Ignored() != 0 {
		t.Errorf("%d requests of a trusted peer were ignored", source.Ignored())
	}
}

// The headers of other peers than the gateways are ignored.
func TestHeaderForged(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "2001:db8::/32", "::ffff:172.16.0.0/108")
	for _, c := range []struct {
		peer    string
		trusted []netip.Prefix
		user    string
	}{
		{"10.0.0.1:1", trusted, "42"},
		{"[::ffff:10.0.0.1]:1", trusted, "42"},
		{"[2001:db8::1]:1", trusted, "42"},
		{"172.16.0.9:1", trusted, "42"},
		{"172.32.0.9:1", trusted, ""},
		{"11.0.0.1:1", trusted, ""},
		{"[2001:db9::1]:1", trusted, ""},
		{"127.0.0.1:1", trusted, ""},
		{"10.0.0.1:1", nil, ""},
		{"@", auth.AnyAddress(), ""}, // a Unix socket has no address
		{"", auth.AnyAddress(), ""},
		{"10.0.0.1:1:2", trusted, ""},
		{"[fe80::1%eth0]:1", prefixes("fe80::/10"), "42"},
	} {
		source := auth.Header(auth.HeaderOptions{Trusted: c.trusted})
		// A client can also forge the headers of a proxy.
		r := from(c.peer, "X-User", "42", "X-Forwarded-For", "10.0.0.1", "X-Real-Ip", "10.0.0.1", "Forwarded", "for=10.0.0.1")
		id, err := source.Identify(r)
		if id.User() != c.user || (c.user == "") != errors.Is(err, auth.ErrNoIdentity) || (c.user == "") != (source.Ignored() == 1) {
			t.Errorf("%+v: %+v, %v, %d ignored", c, id, err, source.Ignored())
		}
	}

	// The headers of an untrusted peer are not evaluated.
	source := auth.Header(auth.HeaderOptions{Vars: map[string]string{"city": "X-City"}, Trusted: trusted})
	for i, headers := range [][]string{{"X-User", "a.b"}, {"X-User", "1", "X-User", "2"}, {"X-City", ">"}} {
		if _, err := source.Identify(from("192.0.2.1:1", headers...)); !errors.Is(err, auth.ErrNoIdentity) || source.Ignored() != uint64(i+1) {
			t.Errorf("%q: %v, %d ignored", headers, err, source.Ignored())
		}
	}
	if _, err := source.Identify(from("192.0.2.1:1", "X-Other", "1")); !errors.Is(err, auth.ErrNoIdentity) || source.Ignored() != 3 {
		t.Errorf("without these headers: %v, %d ignored", err, source.Ignored())
	}
}
