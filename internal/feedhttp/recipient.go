package feedhttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/internal/subject"
)

// recipient is a user's id in the JSON of a request: a string or an integer, as issuers of
// tokens have either. The zero value is a request without one.
type recipient struct {
	id    string
	named bool
}

// UnmarshalJSON refuses null and an empty string: an event for one user must not go elsewhere by
// mistake.
func (r *recipient) UnmarshalJSON(b []byte) (err error) {
	if r.named {
		return &fieldError{field: "user", reason: "appears twice"}
	}
	r.named = true
	r.id, err = parseID(b, "user")
	return err
}

// MarshalJSON returns the form that UnmarshalJSON reads.
func (r recipient) MarshalJSON() ([]byte, error) { return json.Marshal(r.id) }

// parseID reads a JSON string, or an integer as it is written. Other numbers have several
// spellings, and would be other users.
func parseID(b []byte, field string) (id string, err error) {
	if b[0] == '"' {
		if err := json.Unmarshal(b, &id); err != nil {
			return "", err
		}
		if strings.ContainsRune(id, utf8.RuneError) { // the decoder's, for half of a surrogate pair
			return "", &fieldError{field: field, reason: "is not valid UTF-8"}
		}
	} else if digits := strings.TrimPrefix(string(b), "-"); strings.Trim(digits, "0123456789") == "" {
		id = string(b)
	}
	if id == "" {
		return "", &fieldError{field: field, reason: "must be a string that is not empty, or an integer"}
	}
	return id, nil
}

// subjectOf returns the subject of a request that names it, or a user in its place.
func (p *publisher) subjectOf(req PublishRequest) (string, error) {
	switch {
	case !req.User.named:
		return req.Subject, nil
	case req.Subject != "":
		return "", &fieldError{field: "user", reason: "takes the place of subject; send one of them"}
	}
	return p.userSubject(req.User.id)
}

func (p *publisher) userSubject(user string) (string, error) {
	template, err := subject.UserTemplate(p.opts.Templates)
	if err != nil {
		return "", &fieldError{field: "user", reason: err.Error(), code: problem.Undeliverable}
	}
	subject, _, err := template.Expand(map[string]string{"user": user})
	if err != nil {
		return "", &fieldError{field: "user", reason: err.Error()}
	}
	return subject, nil
}

// renameFields names the fields of an error as the request has them.
func renameFields(err error, names map[string]string) error {
	if wrong, ok := errors.AsType[*fieldError](err); ok {
		if name := names[wrong.field]; name != "" {
			wrong.field = name
		}
	}
	return err
}

// subjectHint ends the reason why a subject is not valid: how to publish to a value that cannot be
// a token as it is.
func (p *publisher) subjectHint(subj string) string {
	if strings.HasSuffix(subj, ".*") || strings.HasSuffix(subj, ".>") { // a wildcard is meant
		return ""
	}
	for _, t := range p.opts.Templates {
		if encoded, ok := t.EncodeLast(subj); ok {
			return fmt.Sprintf("; a value is one encoded token: write %q, or send \"user\" in place of \"subject\"", encoded)
		}
	}
	user, err := subject.UserTemplate(p.opts.Templates)
	if err == nil && subject.Matches(user.Filter(), subj) {
		return `; or send "user" in place of "subject", which needs no encoding`
	}
	return ""
}
