package auth

import (
	"net/http"
	"net/url"
	"strings"
)

// keyPrefix is the prefix of every API key. It distinguishes API keys from JWTs, as both may be sent as
// bearer tokens.
const keyPrefix = "tmk_"

// requestToken collects the token of a request from its possible places.
type requestToken struct {
	token string
	err   error // rejects the request
}

// add adds a token. Two different tokens are an error, as the request is ambiguous.
func (c *requestToken) add(token string) {
	switch {
	case token == "":
	case c.token == "":
		c.token = token
	case c.token != token && c.err == nil:
		c.err = invalidRequest("the request carries two different tokens; send one")
	}
}

// bearer reads the header Authorization. It ignores schemes other than Bearer.
func (c *requestToken) bearer(r *http.Request) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		c.err = invalidRequest("the header Authorization occurs %d times; send it once", len(values))
		return
	}
	if len(values) == 0 {
		return
	}
	scheme, token := values[0], ""
	if end := strings.IndexAny(scheme, " \t"); end >= 0 {
		scheme, token = scheme[:end], strings.Trim(scheme[end:], " \t")
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return
	}
	if token == "" {
		c.err = invalidRequest("Authorization: Bearer has no token; append it after a space")
	}
	c.add(token)
}

// cookie reads all cookies of a name, because browsers send the cookies of several paths together.
func (c *requestToken) cookie(r *http.Request, name string) {
	for _, cookie := range r.CookiesNamed(name) {
		c.add(cookie.Value)
	}
}

func (c *requestToken) query(r *http.Request) {
	if r.URL.RawQuery == "" {
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil && c.err == nil { // the unreadable part may be the token
		c.err = invalidRequest("the query cannot be parsed; escape it as in a URL")
	}
	for _, token := range query[TokenParam] {
		c.add(token)
	}
}
