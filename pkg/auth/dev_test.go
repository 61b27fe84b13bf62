package auth_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

func TestDev(t *testing.T) {
	source := auth.Dev("user")
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
		if id.User() != c.user || status(err) != c.status || err == nil && id.Kind != auth.KindDev {
			t.Errorf("%+v: %+v, %v", c, id, err)
		}
	}
}

func TestDevWithoutAUser(t *testing.T) {
	for _, query := range []string{"", "user=", "other=1"} {
		if _, err := auth.Dev("user")(request("127.0.0.1:1", "127.0.0.1:2", query)); !errors.Is(err, auth.ErrNoIdentity) {
			t.Errorf("%q: %v", query, err)
		}
	}
	// An empty parameter is accepted as anonymous: a page behind a gateway may send an empty field.
	if _, err := auth.Dev("user")(request("192.0.2.1:1", "192.0.2.2:2", "")); !errors.Is(err, auth.ErrNoIdentity) {
		t.Errorf("from afar without a user: %v", err)
	}
}

func TestDevInjection(t *testing.T) {
	for _, user := range hostile {
		id, err := auth.Dev("user")(request("127.0.0.1:1", "127.0.0.1:2", "user="+url.QueryEscape(user)))
		if want := valueStatus(user); status(err) != want || (id.User() == user) != (want == 0) {
			t.Errorf("%q: %+v, %v", user, id, err)
		}
	}
}

// DNS rebinding: the name of a hostile page resolves to this machine, so the browser lets the page read
// responses. The page's name in Host reveals it.
func TestDevRebound(t *testing.T) {
	for host, want := range map[string]int{
		"localhost": 0, "localhost:8080": 0, "LOCALHOST:8080": 0, "127.0.0.1:8080": 0, "127.0.0.1": 0, "[::1]:8080": 0, "[::1]": 0,
		"rebound.example:8080": http.StatusForbidden, "rebound.example": http.StatusForbidden, "localhost.rebound.example:8080": http.StatusForbidden,
		"127.0.0.1.rebound.example": http.StatusForbidden, "192.0.2.7:8080": http.StatusForbidden, "0.0.0.0:8080": http.StatusForbidden, "": http.StatusForbidden,
	} {
		r := request("127.0.0.1:1", "127.0.0.1:2", "user=42")
		r.Host = host
		if id, err := auth.Dev("user")(r); status(err) != want || (want == 0) != (id.User() == "42") {
			t.Errorf("%q: %+v, %v", host, id, err)
		}
	}
}

// Behind a proxy the peer address is the proxy's, for every client.
func TestDevBehindAProxy(t *testing.T) {
	for _, header := range []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "Via",
		"CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "X-Envoy-External-Address",
		"Fly-Client-IP", "CDN-Loop", "X-Forwarded-Port", "X-Original-Forwarded-For",
		"X_Forwarded_For", "x_forwarded_for", "X_REAL_IP", "CF_Connecting_IP", "True_Client_IP", "cdn_loop",
	} {
		for _, value := range []string{"127.0.0.1", "192.0.2.7", ""} {
			r := request("127.0.0.1:1", "127.0.0.1:2", "user=42")
			r.Header.Set(header, value)
			if id, err := auth.Dev("user")(r); id.User() != "" || status(err) != http.StatusForbidden {
				t.Errorf("%s: %q: %+v, %v", header, value, id, err)
			}
		}
	}
}
