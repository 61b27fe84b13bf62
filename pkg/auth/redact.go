package auth

import (
	"net/url"
	"strings"
)

// tokenParam is the query parameter that tokens come in, as RFC 6750 names it.
const tokenParam = "access_token"

// Redact returns a URL, or a request's target, as logs may show it: with an ellipsis in place
// of every access_token in its query or fragment, and of a user's password before the host.
// It changes nothing else, and needs no valid URL.
func Redact(rawURL string) string {
	rest, fragment, hasFragment := strings.Cut(rawURL, "#")
	base, query, hasQuery := strings.Cut(rest, "?")
	out := redactPassword(base)
	if hasQuery {
		out += "?" + redactQuery(query)
	}
	if hasFragment {
		out += "#" + redactQuery(fragment)
	}
	return out
}

func redactPassword(base string) string {
	scheme, rest, ok := strings.Cut(base, "//")
	if !ok {
		return base
	}
	authority, path, hasPath := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	user, _, hasPassword := strings.Cut(authority[:max(at, 0)], ":")
	if !hasPassword {
		return base
	}
	out := scheme + "//" + user + ":…" + authority[at:]
	if hasPath {
		out += "/" + path
	}
	return out
}

// redactQuery takes ';' for a separator too, as some servers do, and a second '?' or '#' for
// one, which a client may have put there by mistake.
func redactQuery(query string) string {
	var out strings.Builder
	for query != "" {
		end := strings.IndexAny(query, "&;?#")
		if end < 0 {
			end = len(query)
		}
		out.WriteString(redactPair(query[:end]))
		if end < len(query) {
			out.WriteByte(query[end])
			end++
		}
		query = query[end:]
	}
	return out.String()
}

func redactPair(pair string) string {
	name, value, ok := strings.Cut(pair, "=")
	if !ok || !isTokenParam(name) && !holdsToken(value) {
		return pair
	}
	return name + "=…"
}

// holdsToken finds the URL within a URL, of a page to return to.
func holdsToken(value string) bool {
	plain, err := url.QueryUnescape(value)
	return err == nil && strings.Contains(strings.ToLower(plain), tokenParam+"=")
}

// isTokenParam: a name that cannot be decoded may be anything.
func isTokenParam(name string) bool {
	plain, err := url.QueryUnescape(name)
	return err != nil || strings.EqualFold(strings.TrimSpace(plain), tokenParam)
}
