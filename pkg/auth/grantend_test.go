package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/pkg/auth"
)

func TestHeaderExpires_AnyValue_EndsTheGrantOrIsRefused(t *testing.T) {
	source := auth.Header(auth.HeaderOptions{Expires: "X-User-Expires", Trusted: auth.AnyAddress()})
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	unix := fmt.Sprint(end.Unix())
	for _, c := range []struct {
		values []string
		status int // 0 is a grant until end
		detail string
		cause  error
	}{
		{values: []string{unix}},
		{values: []string{unix + ".75"}},
		{values: []string{end.UTC().Format(time.RFC3339)}},
		{values: []string{end.In(time.FixedZone("", -5*3600)).Format(time.RFC3339)}},

		{nil, http.StatusUnauthorized, "auth.header.expires", nil},
		{[]string{""}, http.StatusUnauthorized, "auth.header.expires", nil},
		{[]string{"0"}, http.StatusUnauthorized, "log in again", auth.ErrExpired},
		{[]string{fmt.Sprint(time.Now().Unix() - 1)}, http.StatusUnauthorized, "log in again", auth.ErrExpired},
		{[]string{"2001-09-09T01:46:40Z"}, http.StatusUnauthorized, "log in again", auth.ErrExpired},

		{[]string{fmt.Sprint(end.UnixMilli())}, http.StatusBadRequest, "milliseconds", nil},
		{[]string{fmt.Sprint(end.UnixNano())}, http.StatusBadRequest, "milliseconds", nil},
		{[]string{"100000000001"}, http.StatusBadRequest, "milliseconds", nil},
		{[]string{"9999-12-31T23:59:59Z"}, http.StatusBadRequest, "milliseconds", nil},
		{[]string{unix, unix}, http.StatusBadRequest, "2 times", nil},
		{[]string{unix, ""}, http.StatusBadRequest, "2 times", nil},
		{[]string{unix + ", " + unix}, http.StatusBadRequest, "not a time", nil},
		{[]string{"-" + unix}, http.StatusBadRequest, "not a time", nil},
		{[]string{"+" + unix}, http.StatusBadRequest, "not a time", nil},
		{[]string{unix + "."}, http.StatusBadRequest, "not a time", nil},
		{[]string{unix + "s"}, http.StatusBadRequest, "not a time", nil},
		{[]string{"1.8e9"}, http.StatusBadRequest, "not a time", nil},
		{[]string{"0x7fffffff"}, http.StatusBadRequest, "not a time", nil},
		{[]string{"inf"}, http.StatusBadRequest, "not a time", nil},
		{[]string{"never"}, http.StatusBadRequest, "not a time", nil},
		{[]string{strings.Repeat("9", 30)}, http.StatusBadRequest, "not a time", nil},
		{[]string{"2030-01-01"}, http.StatusBadRequest, "not a time", nil},
		{[]string{"2030-01-01T00:00:00"}, http.StatusBadRequest, "not a time", nil},
		{[]string{end.UTC().Format(http.TimeFormat)}, http.StatusBadRequest, "not a time", nil},
	} {
		r := from("10.0.0.7:1", "X-User", "42")
		r.Header["X-User-Expires"] = c.values
		id, err := source.Identify(r)
		if c.status == 0 {
			if err != nil || !id.Expires.Equal(end) || id.User() != "42" {
				t.Errorf("%q: %+v, %v; want a grant until %v", c.values, id, err, end)
			}
			continue
		}
		if status(err) != c.status || id.User() != "" || !strings.Contains(err.Error(), c.detail) || c.cause != nil && !errors.Is(err, c.cause) {
			t.Errorf("%q: %+v, %v; want %+v", c.values, id, err, c)
		}
	}
}

func TestHeaderExpires_WithoutAUser_IsNoIdentity(t *testing.T) {
	source := auth.Header(auth.HeaderOptions{Expires: "X-User-Expires", Trusted: auth.AnyAddress()})
	for _, expires := range []string{"", "never", "1"} {
		if id, err := source.Identify(from("10.0.0.7:1", "X-User-Expires", expires)); !errors.Is(err, auth.ErrNoIdentity) {
			t.Errorf("%q: %+v, %v", expires, id, err)
		}
	}
	if names := source.Names(); !slices.Equal(names, []string{"X-User", "X-User-Expires"}) {
		t.Errorf("an answer varies by %q", names)
	}
}

func TestHeaderEncoding_Percent_IsDecodedOnce(t *testing.T) {
	for _, c := range []struct {
		value, plain string // plain is empty where percent encoding is refused
	}{
		{"42", "42"},
		{"alice.b@example.com", "alice.b@example.com"},
		{"alice.b%40example.com", "alice.b@example.com"},
		{"alice%2Eb%40example%2ecom", "alice.b@example.com"},
		{"alice+news@example.com", "alice+news@example.com"}, // no form: a plus is a plus
		{"%D0%97%D0%BE%D1%8F", "Зоя"},
		{"Зоя", "Зоя"},
		{"first%20last", "first last"},
		{"100%25", "100%"},
		{"alic%2565", "alic%65"},
		{"alice%0d%0aX-User:%20bob", "alice\r\nX-User: bob"},
		{"100%", ""}, {"%", ""}, {"%4", ""}, {"%zz", ""}, {"%ff", ""}, {"%c0%ae", ""}, {"%u0041", ""},
		{strings.Repeat("%41", 255), strings.Repeat("A", 255)},
		{strings.Repeat("%41", 256), ""},
	} {
		percent := auth.Header(auth.HeaderOptions{PercentEncoded: true, Vars: map[string]string{"city": "X-City"}, Trusted: auth.AnyAddress()})
		id, err := percent.Identify(from("10.0.0.7:1", "X-User", c.value, "X-City", c.value))
		if id.User() != c.plain || id.Vars["city"] != c.plain || (status(err) == http.StatusBadRequest) != (c.plain == "") {
			t.Errorf("%q: %+v, %v; want %q", c.value, id, err, c.plain)
		}
		if strings.Contains(c.value, strings.Repeat("%41", 255)) {
			continue
		}
		plain := auth.Header(auth.HeaderOptions{Trusted: auth.AnyAddress()})
		if id, err := plain.Identify(from("10.0.0.7:1", "X-User", c.value)); err != nil || id.User() != c.value {
			t.Errorf("%q without encoding: %+v, %v", c.value, id, err)
		}
	}
}

func TestHeaderIgnored_OfAnotherPeer_IsReported(t *testing.T) {
	var reported []string
	source := auth.Header(auth.HeaderOptions{Trusted: prefixes("10.0.0.7/32"), Ignored: func(r *http.Request) { reported = append(reported, r.RemoteAddr) }})
	for _, peer := range []string{"10.0.0.7:1", "10.0.0.8:1", "10.0.0.9:1"} {
		_, _ = source.Identify(from(peer, "X-User", "42"))
		_, _ = source.Identify(from(peer)) // without such a header there is nothing to report
	}
	if !slices.Equal(reported, []string{"10.0.0.8:1", "10.0.0.9:1"}) {
		t.Errorf("reported %q", reported)
	}
}

// FuzzHeaderGrant checks that for all headers either the request is rejected, or the identity has a valid
// user and an end in the future.
func FuzzHeaderGrant(f *testing.F) {
	for _, expires := range []string{"1764237600", "99999999999", "4000000000.5", "2100-01-01T00:00:00Z", "1764237600000", "never", "", "-1"} {
		f.Add("alice.b%40example.com", expires)
		f.Add("100%", expires)
	}
	source := auth.Header(auth.HeaderOptions{Expires: "X-User-Expires", PercentEncoded: true, Trusted: auth.AnyAddress()})
	f.Fuzz(func(t *testing.T, user, expires string) {
		r := from("10.0.0.7:1")
		r.Header["X-User"], r.Header["X-User-Expires"] = []string{user}, []string{expires}
		checkIdentity(t, "header", source.Identify, r)
		id, err := source.Identify(r)
		checkRefusal(t, err)
		if err == nil && (!time.Now().Before(id.Expires) || id.Expires.Unix() > 100_000_000_000 || id.User() == "") {
			t.Errorf("%q until %q: %+v", user, expires, id)
		}
	})
}
