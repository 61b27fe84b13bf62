package delivery

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/subject"
)

// maxListed bounds the subjects that an error names.
const maxListed = 12

// Error reports a subject that no feed can deliver.
type Error struct {
	Subject string
	// Stored is what the stream makes of it; empty when no stream of a feed captures it.
	Stored string
	// Allowed are the templates or subjects of which it matches none.
	Allowed []string
	// Suggestion is the subject that was probably meant; empty for none.
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
	text.WriteString(" (publish.subjects says which are accepted)")
	return text.String()
}

// add lists the templates of a stream, and looks for what was meant: a value whose dots were
// not encoded.
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
