package delivery

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/subject"
)

// CanStore reports whether some event of a stream can have a subject of a template. It is true where
// that is not known: what a mirror or a source copies without a filter depends on another stream.
func CanStore(stream jetstream.StreamConfig, t subject.Template) bool {
	filter := t.Filter()
	return slices.ContainsFunc(StoredFilters(stream), func(f string) bool { return subject.Overlap(f, filter) })
}

// StoredFilters returns filters that match every subject that an event of a stream can have, after the
// stream's subject transforms.
func StoredFilters(stream jetstream.StreamConfig) (filters []string) {
	filters = slices.Clone(stream.Subjects)
	origins := stream.Sources
	if stream.Mirror != nil {
		origins = append(slices.Clone(origins), stream.Mirror)
	}
	for _, o := range origins {
		switch {
		case len(o.SubjectTransforms) > 0:
			for _, t := range o.SubjectTransforms {
				filters = append(filters, destination(t))
			}
		case o.FilterSubject != "":
			filters = append(filters, o.FilterSubject)
		default:
			filters = append(filters, ">")
		}
	}
	if len(filters) == 0 {
		filters = []string{stream.Name} // as the server has it
	}
	if t := stream.SubjectTransform; t != nil {
		filters = transformed(*t, filters)
	}
	return subject.MergeFilters(filters)
}

// transformed returns the filters behind a transform. A filter that it does not match as a whole
// stays, too.
func transformed(t jetstream.SubjectTransformConfig, filters []string) (all []string) {
	for _, f := range filters {
		if t.Source == "" || subject.Overlap(t.Source, f) {
			all = append(all, destination(t))
		}
		if t.Source != "" && !subject.Subset(f, t.Source) {
			all = append(all, f)
		}
	}
	return all
}

// destination returns the filter of what a transform makes.
func destination(t jetstream.SubjectTransformConfig) string {
	if t.Destination == "" { // a filter alone
		return cmp.Or(t.Source, ">")
	}
	var tokens []string
	for tok := range strings.SplitSeq(placeholder.ReplaceAllStringFunc(t.Destination, withoutDots), ".") {
		function := strings.ToLower(tok)
		switch {
		case strings.Contains(function, "split"), strings.Contains(function, "slice"): // makes several tokens
			return strings.Join(append(tokens, ">"), ".")
		case strings.HasPrefix(tok, "{{"), strings.HasPrefix(tok, "$"):
			tok = "*"
		}
		tokens = append(tokens, tok)
	}
	return strings.Join(tokens, ".")
}

// placeholder is a function of a transform. Its arguments may have dots, such as {{split(1,.)}}.
var placeholder = regexp.MustCompile(`\{\{.*?\}\}`)

func withoutDots(s string) string { return strings.ReplaceAll(s, ".", "") }
