package auth

import (
	"net/url"
	"strings"
)

// TokenParam is the query parameter for tokens of RFC 6750.
const TokenParam = "access_token"

// Redact removes secrets from a URL or a request's target, for logs.
//
// It replaces every access_token in the query or fragment, and a password before the host, by an
// ellipsis. It changes nothing else, and accepts invalid URLs.
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

// redactQuery also treats ';' as a separator, as some servers do, and a second '?' or '#', a possible
// mistake of a client.
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

// holdsToken reports whether a value is a URL with a token, for example of a page to return to.
func holdsToken(value string) bool {
	plain, err := url.QueryUnescape(value)
	return err == nil && strings.Contains(strings.ToLower(plain), TokenParam+"=")
}

// isTokenParam reports whether a name is access_token, or cannot be decoded and may therefore be it.
func isTokenParam(name string) bool {
	plain, err := url.QueryUnescape(name)
	return err != nil || strings.EqualFold(strings.TrimSpace(plain), TokenParam)
}
