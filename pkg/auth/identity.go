package auth

import (
	"slices"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/subject"
)

// Kind is the kind of source that an identity comes from.
type Kind string

// The kinds of sources.
const (
	KindAnonymous Kind = "anonymous"
	KindJWT       Kind = "jwt"
	KindHeader    Kind = "header"
	KindDev       Kind = "dev"
	KindAPIKey    Kind = "api-key"
)

// Identity is who is calling. The zero Identity is anonymous. Its maps and slices are shared
// with nobody who changes them; leave them as they are.
type Identity struct {
	// Vars fill the variables of subject templates: {"user": "42"}. Each value has 1 to 255 bytes
	// of UTF-8. Where it becomes a token of a subject it is percent-encoded ("." is "%2E").
	Vars map[string]string
	// Kind says where the identity comes from; empty counts as anonymous.
	Kind Kind
	// TokenID is what a revocation may name beside the user: a token's claim jti, or the name
	// of an API key. Empty when there is none. It is no token of a subject: it may hold dots.
	TokenID string
	// Publisher names the publisher, and is the same in a renewed token: a token's claim sub (where it
	// has none, its user, else its id), or the name of an API key. Empty when there is none.
	Publisher string
	// Issued is when a token was made, so that a revocation may spare younger ones; zero when
	// the token does not say.
	Issued time.Time
	// Expires is when the grant ends, with the leeway in it; zero for never.
	Expires time.Time
	// Widen are filters that may be read beyond what a feed gives.
	Widen []string
	// Narrow are the only filters of which anything may be read; nil does not narrow, and an
	// empty list leaves nothing. What a feed does not give, it does not add. It bounds Widen
	// too.
	Narrow []string
	// Publish are the subjects that may be published to, as filters; none when empty.
	Publish []string
	// Presence allows to read who is connected.
	Presence bool
	// Admin allows to operate a node.
	Admin bool
}

// User returns the variable "user"; empty for the anonymous.
func (id Identity) User() string { return id.Vars["user"] }

// MayPublish reports whether the identity itself allows to publish to a subject. What a
// server allows at all is another matter.
func (id Identity) MayPublish(name string) bool {
	return slices.ContainsFunc(id.Publish, func(f string) bool { return subject.Matches(f, name) })
}

// Restrict returns the parts of filters that Narrow leaves: every subject that matches one
// of filters and one of Narrow matches one of the result, and no other does. A caller that
// gives filters must pass them through it, those of Widen too. Without Narrow it returns
// filters as they are.
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

// fill puts a value into vars. The empty value is left out. One that cannot be encoded as a token
// of a subject is refused, and the error names where it came from.
func fill(vars map[string]string, name, value, where string) error {
	if value == "" {
		return nil
	}
	if err := subject.CheckValue(value); err != nil {
		return badRequest("%s %v; a value has at most %d bytes of UTF-8", where, err, subject.MaxValueLen)
	}
	vars[name] = value
	return nil
}

// checkVariable says why a template could never name a variable like this.
func checkVariable(name string) error {
	_, err := subject.ParseTemplate("{" + name + "}")
	return err
}
