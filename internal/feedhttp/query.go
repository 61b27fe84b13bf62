package feedhttp

import (
	"net/http"
	"net/url"
)

// MaxQuery bounds the query of a request, in bytes; a longer one is refused with 400. That is
// room for MaxSubjects subjects and a token.
const MaxQuery = 8 << 10

func checkQuery(r *http.Request) error {
	if n := len(r.URL.RawQuery); n > MaxQuery {
		return badRequest("the query has %d bytes, and the limit is %d: request fewer subjects (wildcards help), or send the token as a header", n, MaxQuery)
	}
	return nil
}

// flag reads a query parameter that has one value besides its default.
func flag(query url.Values, name, value string) (bool, error) {
	if !query.Has(name) {
		return false, nil
	}
	if n := len(query[name]); n > 1 {
		return false, badRequest("?%s= is given %d times; send it once", name, n)
	}
	if got := query.Get(name); got != value {
		return false, badRequest("?%s=%s: the only value is %q", name, got, value)
	}
	return true, nil
}
