package auth

import (
	"slices"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/subject"
)

// Kind is the kind of the source of an identity.
type Kind string

// The kinds of sources.
const (
	KindAnonymous Kind = "anonymous"
	KindJWT       Kind = "jwt"
	KindHeader    Kind = "header"
	KindDev       Kind = "dev"
	KindAPIKey    Kind = "api-key"
)

// Identity describes the client of a request and its rights. The zero Identity is anonymous.
// Do not modify its maps and slices, as they may be shared.
type Identity struct {
	// Vars contains the values for the variables of subject templates: {"user": "42"}. Each value has 1
	// to 255 bytes of UTF-8. In a subject it becomes one percent-encoded token ("." is "%2E").
	Vars map[string]string
	// Kind is the kind of the source; empty means anonymous.
	Kind Kind
	// TokenID identifies the token in a revocation: a token's claim jti, or the name of an API key. It
	// may be empty, and may contain dots.
	TokenID string
	// Publisher identifies the publisher, and stays the same in a renewed token: the claim sub of a token
	// (or else its user, or its id), or the name of an API key. It may be empty.
	Publisher string
	// Issued is the creation time of a token; zero if the token has none. Revocations of a user do not
	// affect tokens that were issued later.
	Issued time.Time
	// Expires is the end of the grant, including the leeway; zero means that it does not end.
	Expires time.Time
	// Widen contains additional filters for reading, beyond the subjects of a feed.
	Widen []string
	// Narrow limits reading to these filters. nil means no limit, and an empty list permits nothing.
	// It adds no subjects to a feed, and limits Widen too.
	Narrow []string
	// Publish contains filters of the subjects that the client may publish to; empty means none.
	Publish []string
	// Presence grants access to the presence API.
	Presence bool
	// Admin grants access to the admin API.
	Admin bool
}

// User returns the variable "user", or "" for an anonymous identity.
func (id Identity) User() string { return id.Vars["user"] }

// MayPublish reports whether the identity may publish to a subject. The server may have further
// limits.
func (id Identity) MayPublish(name string) bool {
	return slices.ContainsFunc(id.Publish, func(f string) bool { return subject.Matches(f, name) })
}

// Restrict returns the intersection of filters and Narrow.
//
// A subject matches the result if and only if it matches one of filters and one of Narrow. Pass all
// filters for a client through it, including those of Widen. If Narrow is nil, it returns filters
// unchanged.
func (id Identity) Restrict(filters []string) []string {
	if id.Narrow == nil {
		return filters
	}
	left := []string{}
	for _, f := range filters {
		for _, n := range id.Narrow {
			if both, ok := intersect(f, n); ok && !slices.Contains(left, both) {
				left = append(left, both)
			}
		}
	}
	return left
}

// intersect returns the filter of the subjects that match both a and b.
func intersect(a, b string) (string, bool) {
	var out []string
	for {
		x, xRest, xMore := strings.Cut(a, ".")
		y, yRest, yMore := strings.Cut(b, ".")
		switch {
		case x == ">":
			return strings.Join(append(out, b), "."), true
		case y == ">":
			return strings.Join(append(out, a), "."), true
		case x == "*":
			out = append(out, y)
		case y == "*" || x == y:
			out = append(out, x)
		default:
			return "", false
		}
		if !xMore || !yMore {
			return strings.Join(out, "."), xMore == yMore
		}
		a, b = xRest, yRest
	}
}

// setVar adds a value to vars, unless it is empty. It returns an error with the value's origin if the
// value cannot be encoded as a token of a subject.
func setVar(vars map[string]string, name, value, where string) error {
	if value == "" {
		return nil
	}
	if err := subject.CheckValue(value); err != nil {
		return badRequest("%s %v; a value has at most %d bytes of UTF-8", where, err, subject.MaxValueLen)
	}
	vars[name] = value
	return nil
}

// checkVariable returns an error if the name cannot be used as a variable of a template.
func checkVariable(name string) error {
	_, err := subject.ParseTemplate("{" + name + "}")
	return err
}
