package auth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

func TestRedact(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"", ""},
		{"/events", "/events"},
		{"/events?user=42&x=%zz", "/events?user=42&x=%zz"},
		{"/events?access_token=SECRET", "/events?access_token=…"},
		{"/events?a=1&access_token=SECRET&b=2", "/events?a=1&access_token=…&b=2"},
		{"/events?access_token=SECRET&access_token=SECRET", "/events?access_token=…&access_token=…"},
		{"/events?access_token=SECRET=SECRET", "/events?access_token=…"},
		{"/events?a;access_token=SECRET;b", "/events?a;access_token=…;b"},
		{"/events?ACCESS_TOKEN=SECRET", "/events?ACCESS_TOKEN=…"},
		{"/events?access%5Ftoken=SECRET", "/events?access%5Ftoken=…"},
		{"/events?%61ccess_token=SECRET", "/events?%61ccess_token=…"},
		{"/events?+access_token=SECRET", "/events?+access_token=…"},
		{"/events?access_token%=SECRET", "/events?access_token%=…"}, // cannot be decoded: may be anything
		{"/events?x=1?access_token=SECRET", "/events?x=1?access_token=…"},
		{"/login?next=%2Fevents%3Faccess_token%3DSECRET", "/login?next=…"},
		{"/#access_token=SECRET&x=1", "/#access_token=…&x=1"},
		{"/?a=1#b?access_token=SECRET", "/?a=1#b?access_token=…"},
		{"/?access_token", "/?access_token"},
		{"/?access_tokens=1", "/?access_tokens=1"},
		{"https://name:SECRET@host/p?q=1", "https://name:…@host/p?q=1"},
		{"https://name:SECRET@SECRET@host", "https://name:…@host"},
		{"https://name@host/a:b@c", "https://name@host/a:b@c"},
		{"https://host:8080/a@b", "https://host:8080/a@b"},
	} {
		if got := auth.Redact(c.url); got != c.want {
			t.Errorf("%s: %s, want %s", c.url, got, c.want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("/events?user=1", "x=1")
	f.Add("//h?%", "#?;&")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "eyJSECRET"
		if strings.Contains(before+after, "=") || strings.Contains(before+after, "SECRET") {
			t.Skip()
		}
		got := auth.Redact(before + "?access_token=" + secret + "&" + after)
		if strings.Contains(got, secret) {
			t.Errorf("%q", got)
		}
	})
}

func ExampleRedact() {
	fmt.Println(auth.Redact("/events?subject=news.all&access_token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln"))
	// Output: /events?subject=news.all&access_token=…
}
