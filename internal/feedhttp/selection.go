package feedhttp

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

// MaxSubjects bounds the ?subject= parameters of one request.
const MaxSubjects = 64

// Selection says which subjects a connection gets.
type Selection struct {
	// Defaults go to every connection. One whose variable the identity does not fill is
	// left out.
	Defaults []subject.Template
	// Allow is what clients may ask for beyond the defaults with ?subject=.
	Allow []subject.Template
	// Identify tells a client for which no subject is left how it is identified, such as "send a
	// token". Empty for a general text.
	Identify string
}

// Filters returns the merged subjects of one connection: what the identity gets by default
// (unless only is set) and what it asked for. Errors are *auth.Error.
func (s Selection) Filters(id auth.Identity, asked []string, only bool) ([]string, error) {
	if len(asked) > MaxSubjects {
		return nil, badRequest("%d ?subject= parameters; at most %d are taken, and wildcards make do with fewer", len(asked), MaxSubjects)
	}
	defaults, missing, err := expand(s.Defaults, id)
	if err != nil {
		return nil, err
	}
	if err := s.check(id, asked, defaults); err != nil {
		return nil, err
	}
	if only {
		defaults = nil
	}
	// What the token narrows the grant to holds for everything, also what it widens it to.
	filters := subject.MergeFilters(id.Restrict(append(defaults, asked...)))
	if len(filters) == 0 {
		if id.Narrow != nil {
			return nil, &auth.Error{Status: http.StatusForbidden, Detail: "the token leaves none of the subjects of this connection; ask with ?subject= for some that it grants"}
		}
		return nil, s.nothing(only, missing)
	}
	return filters, nil
}

func expand(templates []subject.Template, id auth.Identity) (filters []string, missing []string, err error) {
	filters = make([]string, 0, len(templates))
	for _, t := range templates {
		filter, ok, err := t.Expand(id.Vars)
		switch {
		case err != nil:
			return nil, nil, badRequest("%v", err)
		case ok:
			filters = append(filters, filter)
		default:
			missing = append(missing, t.String())
		}
	}
	return filters, missing, nil
}

// check refuses what is asked for beyond the defaults and what is allowed.
func (s Selection) check(id auth.Identity, asked, defaults []string) error {
	if len(asked) == 0 {
		return nil
	}
	allowed, _, err := expand(s.Allow, id)
	if err != nil {
		return err
	}
	allowed = append(append(allowed, defaults...), id.Widen...)
	for _, subject := range asked {
		if err := check(subject, allowed); err != nil {
			return err
		}
	}
	return nil
}

func check(subj string, allowed []string) error {
	if err := subject.CheckFilter(subj); err != nil {
		return badRequest("?subject=: %v", err)
	}
	if !slices.ContainsFunc(allowed, func(outer string) bool { return subject.Subset(subj, outer) }) {
		return &auth.Error{Status: http.StatusForbidden, Detail: fmt.Sprintf("?subject=%s is not within what this feed allows", subj)}
	}
	return nil
}

func (s Selection) nothing(only bool, missing []string) error {
	if only {
		return badRequest("?only=1 leaves out the feed's own subjects, and no ?subject= asks for others")
	}
	if len(missing) == 0 {
		return badRequest("this feed has no subjects of its own; ask for some with ?subject=")
	}
	ask := ""
	if len(s.Allow) > 0 {
		ask = ", or ask with ?subject="
	}
	return badRequest("no subject is left for this connection: %s has no value here; %s%s", strings.Join(missing, ", "), cmp.Or(s.Identify, "send the identity"), ask)
}

func badRequest(format string, args ...any) error {
	return &auth.Error{Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}

// flag reads a query parameter that takes one value beside its default.
func flag(query url.Values, name, value string) (bool, error) {
	if !query.Has(name) {
		return false, nil
	}
	if got := query.Get(name); got != value {
		return false, badRequest("?%s=%s: the only value is %q", name, got, value)
	}
	return true, nil
}
