package delivery

import (
	"iter"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/subject"
)

// stream is what decides under which subject a stream stores a message.
type stream struct {
	subjects  []string // that it captures itself
	origins   []origin // streams that it copies from
	transform []transform
}

// origin is a stream that a mirror or a stream with sources copies. Its subjects may not be known:
// it may be in another account.
type origin struct {
	stream     string   // that captures the messages; empty when not known
	mirror     bool     // which keeps the sequences of its origin
	last       bool     // what stream copies itself cannot be looked up, or is nothing
	subjects   []string // that stream captures; nil when not known
	filter     string   // empty copies everything
	transforms []transform
}

// transform is one subject transform, as nats-server applies it. Its API is not covered by
// nats-server's version; this file is all that would change.
type transform interface {
	Match(subject string) (string, error)
}

func newStream(c jetstream.StreamConfig) stream {
	s := stream{subjects: c.Subjects}
	if c.SubjectTransform != nil {
		s.transform = newTransforms(*c.SubjectTransform)
	}
	origins := c.Sources
	if c.Mirror != nil {
		origins = append(slices.Clone(origins), c.Mirror)
	}
	for _, o := range origins {
		s.origins = append(s.origins, origin{
			stream: o.Name, mirror: o == c.Mirror, last: o.External != nil || o.Domain != "",
			filter: o.FilterSubject, transforms: newTransforms(o.SubjectTransforms...),
		})
	}
	if len(c.Subjects) == 0 && len(origins) == 0 {
		s.subjects = []string{c.Name} // as the server has it
	}
	return s
}

// newTransforms leaves out what the server would refuse.
func newTransforms(configs ...jetstream.SubjectTransformConfig) (all []transform) {
	for _, c := range configs {
		if t, err := server.NewSubjectTransform(c.Source, c.Destination); err == nil && t != nil {
			all = append(all, t)
		}
	}
	return all
}

// stored yields the subjects under which a message to subject may be stored: none when the
// stream does not take it.
func (s stream) stored(subject string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if s.captures(subject) && !yield(apply(s.transform, subject)) {
			return
		}
		for _, o := range s.origins {
			if copied, ok := o.copied(subject); ok && !yield(apply(s.transform, copied)) {
				return
			}
		}
	}
}

// captures reports whether the stream itself stores messages to a subject.
func (s stream) captures(subj string) bool {
	return slices.ContainsFunc(s.subjects, func(f string) bool { return subject.Matches(f, subj) })
}

// mayCapture reports whether the origin may store messages to a subject.
func (o origin) mayCapture(subj string) bool {
	return o.subjects == nil || slices.ContainsFunc(o.subjects, func(f string) bool { return subject.Matches(f, subj) })
}

// copied returns the subject of a message in the copy. Transforms of an origin are filters, too.
func (o origin) copied(subj string) (string, bool) {
	for _, t := range o.transforms {
		if to, err := t.Match(subj); err == nil {
			return to, true
		}
	}
	return subj, len(o.transforms) == 0 && (o.filter == "" || subject.Matches(o.filter, subj))
}

// apply uses the first transform that matches. A subject that none matches stays as it is.
func apply(transforms []transform, subject string) string {
	for _, t := range transforms {
		if to, err := t.Match(subject); err == nil {
			return to
		}
	}
	return subject
}
