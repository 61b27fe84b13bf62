package delivery

import (
	"iter"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/subject"
)

// stream determines the subjects under which a stream stores messages.
type stream struct {
	subjects  []string // captured by the stream itself
	origins   []origin // copied streams
	transform []transform
}

// origin is a stream copied by a mirror or a source. Its subjects may be unknown, because it may be in
// another account.
type origin struct {
	stream     string   // captures the messages; empty if unknown
	mirror     bool     // keeps the sequences of its origin
	last       bool     // the origins of stream are unknown, or it has none
	subjects   []string // captured by stream; nil if unknown
	filter     string   // empty copies everything
	transforms []transform
}

// transform is a subject transform of nats-server. Its Go API may change between versions of nats-server.
// Only this file depends on it.
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
		s.subjects = []string{c.Name} // as the server does
	}
	return s
}

// newTransforms omits transforms that the server would reject.
func newTransforms(configs ...jetstream.SubjectTransformConfig) (all []transform) {
	for _, c := range configs {
		if t, err := server.NewSubjectTransform(c.Source, c.Destination); err == nil && t != nil {
			all = append(all, t)
		}
	}
	return all
}

// stored yields the subjects under which a message with a subject may be stored. It yields none if the
// stream does not store the message.
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

// captures reports whether the stream itself stores messages with a subject.
func (s stream) captures(subj string) bool {
	return slices.ContainsFunc(s.subjects, func(f string) bool { return subject.Matches(f, subj) })
}

// mayCapture reports whether the origin may store messages with a subject.
func (o origin) mayCapture(subj string) bool {
	return o.subjects == nil || slices.ContainsFunc(o.subjects, func(f string) bool { return subject.Matches(f, subj) })
}

// copied returns the subject of a message in the copy. Transforms of an origin also filter.
func (o origin) copied(subj string) (string, bool) {
	for _, t := range o.transforms {
		if to, err := t.Match(subj); err == nil {
			return to, true
		}
	}
	return subj, len(o.transforms) == 0 && (o.filter == "" || subject.Matches(o.filter, subj))
}

// apply applies the first matching transform. Without a match it returns the subject unchanged.
func apply(transforms []transform, subject string) string {
	for _, t := range transforms {
		if to, err := t.Match(subject); err == nil {
			return to
		}
	}
	return subject
}
