package auth

import (
	"net/http"
	"net/url"
	"strings"
)

// keyPrefix begins every API key. No JWT begins like this, so that both may come as a bearer
// token and each source knows its own.
const keyPrefix = "tmk_"

// carried is a token that a request brings.
type carried struct {
	token string
	bad   error // refuses the request
}

// add takes one more token, which must be the same as any before: which of two was meant,
// nobody knows.
func (c *carried) add(token string) {
	switch {
	case token == "":
	case c.token == "":
		c.token = token
	case c.token != token && c.bad == nil:
		c.bad = invalidRequest("the request carries two different tokens; send one")
	}
}

// bearer reads the header Authorization. Other schemes than Bearer are somebody else's.
func (c *carried) bearer(r *http.Request) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		c.bad = invalidRequest("the header Authorization is there %d times; send it once", len(values))
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
		c.bad = invalidRequest("Authorization: Bearer has no token behind it")
	}
	c.add(token)
}

// cookie reads every cookie of a name: browsers send those of several paths together.
func (c *carried) cookie(r *http.Request, name string) {
	for _, cookie := range r.CookiesNamed(name) {
		c.add(cookie.Value)
	}
}

func (c *carried) query(r *http.Request) {
	if r.URL.RawQuery == "" {
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil && c.bad == nil { // what cannot be read may be the token
		c.bad = invalidRequest("the query cannot be read; escape it as URLs need it")
	}
	for _, token := range query[tokenParam] {
		c.add(token)
	}
}
