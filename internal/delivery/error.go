package delivery

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/subject"
)

// maxListed is the maximum number of subjects in an error.
const maxListed = 12

// Error reports an undeliverable subject.
type Error struct {
	Subject string
	// Stored is the subject under which the stream stores it; empty if no stream of a feed captures it.
	Stored string
	// Allowed contains the templates or subjects, none of which matches.
	Allowed []string
	// Suggestion is the probable subject; empty if there is none.
	Suggestion string
}

func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%q reaches no client", e.Subject)
	switch {
	case e.Stored == "":
		text.WriteString(": no stream of a feed captures it")
	case e.Stored != e.Subject:
		fmt.Fprintf(&text, ": the stream stores it as %q, which no feed delivers", e.Stored)
	default:
		text.WriteString(": no feed delivers it")
	}
	if e.Suggestion != "" {
		fmt.Fprintf(&text, "; a value with dots is one token: write %q, or send \"user\" in place of \"subject\"", e.Suggestion)
	}
	listed := e.Allowed[:min(len(e.Allowed), maxListed)]
	fmt.Fprintf(&text, "; use one of %s", strings.Join(listed, ", "))
	if more := len(e.Allowed) - len(listed); more > 0 {
		fmt.Fprintf(&text, " and %d more", more)
	}
	text.WriteString(" (or add the subject to a feed's subjects or allow")
	if e.Stored != "" {
		text.WriteString(", or set publish.subjects: stream")
	}
	text.WriteString(")")
	return text.String()
}

// add adds the templates of a stream, and looks for a suggestion: the same subject with the dots of a
// value encoded.
func (e *Error) add(templates []subject.Template) {
	for _, t := range templates {
		if !slices.Contains(e.Allowed, t.String()) {
			e.Allowed = append(e.Allowed, t.String())
		}
		if meant, ok := t.EncodeLast(e.Subject); ok && e.Suggestion == "" {
			e.Suggestion = meant
		}
	}
}
