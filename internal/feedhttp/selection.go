package feedhttp

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

// MaxSubjects bounds the ?subject= parameters of one request.
const MaxSubjects = 64

// Selection selects the subjects of a connection.
type Selection struct {
	// Defaults go to every connection, except subjects with a variable that the identity does not have.
	Defaults []subject.Template
	// Allow has the subjects that clients may request with ?subject= in addition.
	Allow []subject.Template
	// Identify is the advice to clients without any subject, such as "send a token". Empty for a general
	// text.
	Identify string
}

// Filters returns the merged subjects of one connection. They are the defaults of the identity, unless only
// is set, and the requested ones. Errors are *auth.Error.
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
	// The restrictions of a token also hold for the subjects that it adds.
	filters := subject.MergeFilters(id.Restrict(append(defaults, asked...)))
	if len(filters) == 0 {
		if id.Narrow != nil {
			return nil, &auth.Error{Status: http.StatusForbidden, Err: problem.SubjectForbidden, Detail: "the token leaves none of the subjects of this connection; ask with ?subject= for some that it grants"}
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

// check refuses requested subjects that are neither defaults nor allowed.
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
		return &auth.Error{Status: http.StatusForbidden, Err: problem.SubjectForbidden, Detail: fmt.Sprintf("?subject=%s is not within the subjects that this feed allows", subj)}
	}
	return nil
}

func (s Selection) nothing(only bool, missing []string) error {
	if only {
		return badRequest("?only=1 excludes the feed's own subjects; name other subjects with ?subject=")
	}
	if len(missing) == 0 {
		return badRequest("this feed has no subjects of its own; name subjects with ?subject=")
	}
	ask := ""
	if len(s.Allow) > 0 {
		ask = ", or name subjects with ?subject="
	}
	return badRequest("this connection has no subjects: %s has no value; %s%s", strings.Join(missing, ", "), cmp.Or(s.Identify, "send the identity"), ask)
}
