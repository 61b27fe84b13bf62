// Package delivery decides which subjects can reach a client of a feed.
//
// JetStream acknowledges every message whose subject a stream captures. Whether a feed can
// deliver it is another question: the subject must match one of the feed's subjects or of what
// clients may ask for, with any canonically encoded values in the place of variables, as it is
// after the subject transforms of the stream. Without an answer to it a publisher loses its
// messages silently.
//
// [Rules.Check] answers for a subject before it is published, [Rules.Stored] for one that is
// stored. [Rules.Routes] names the streams that may store it.
package delivery

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/subject"
)

// Options configure New.
type Options struct {
	// Templates are the subjects and allow of the feeds, by the stream that they read.
	Templates map[string][]subject.Template
	// AllSubjects accepts every subject of the streams: because the operator wants it so, or
	// because tokens may grant subjects beyond those of the feeds.
	AllSubjects bool
	// Definitions are used for streams until Lookup has found them.
	Definitions []jetstream.StreamConfig
	// Lookup returns a stream as the server has it, also one that a stream of Templates copies. It is
	// called by Refresh, by Routes, and by Check before a subject is refused, at most once in LookupEvery.
	Lookup func(ctx context.Context, stream string) (jetstream.StreamConfig, error)
	// LookupEvery is 2 s when zero.
	LookupEvery time.Duration
}

// Rules decide for a set of feeds. All methods are safe for concurrent use.
type Rules struct {
	opts  Options
	names []string // of the streams, sorted

	streams atomic.Pointer[map[string]stream] // replaced whole; streams that are not known are missing

	outdated atomic.Bool // a stream did not take what Routes had it take

	mu     sync.Mutex // one refresh at a time
	looked time.Time
	failed map[string]time.Time // when an origin could not be looked up
}

// New returns the rules for feeds. It does not call Lookup.
func New(opts Options) *Rules {
	opts.LookupEvery = cmp.Or(opts.LookupEvery, 2*time.Second)
	r := &Rules{opts: opts, failed: make(map[string]time.Time)}
	known := make(map[string]stream)
	for name := range opts.Templates {
		r.names = append(r.names, name)
		for _, def := range opts.Definitions {
			if def.Name == name {
				known[name] = newStream(def)
			}
		}
	}
	slices.Sort(r.names)
	r.streams.Store(&known)
	return r
}

// Stored returns a function that reports whether a subject that a stream has stored can be
// delivered, for feed.Options.Deliverable. It never blocks.
func (r *Rules) Stored(stream string) func(subject string) bool {
	templates := r.opts.Templates[stream]
	return func(subject string) bool { return matches(templates, subject) }
}

// Refresh looks up all streams. A stream that cannot be looked up stays as it was known. It
// blocks as Lookup does.
func (r *Rules) Refresh(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refreshLocked(ctx)
}

// refreshLocked may be called with mu held alone.
func (r *Rules) refreshLocked(ctx context.Context) {
	r.looked = time.Now()
	r.outdated.Store(false)
	known := make(map[string]stream, len(r.names))
	for _, name := range r.names {
		if was, ok := (*r.streams.Load())[name]; ok {
			known[name] = was
		}
		if config, err := r.opts.Lookup(ctx, name); err == nil {
			known[name] = r.follow(ctx, newStream(config))
		}
	}
	r.streams.Store(&known)
}

// refreshIfOld reports whether the streams were looked up.
func (r *Rules) refreshIfOld(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < r.opts.LookupEvery {
		return false
	}
	r.refreshLocked(ctx)
	return true
}

// Check returns why a subject that is published would reach no client, as an *Error, or nil. While
// a stream is not known, and without any feeds, it accepts: JetStream answers then. It blocks on a lookup only before
// it refuses: the stream may have been changed.
func (r *Rules) Check(ctx context.Context, subject string) error {
	if len(r.names) == 0 {
		return nil
	}
	err := r.check(subject)
	if err != nil && r.refreshIfOld(ctx) {
		err = r.check(subject)
	}
	if err != nil {
		return err
	}
	return nil
}

func (r *Rules) check(subject string) *Error {
	known := *r.streams.Load()
	refused := &Error{Subject: subject}
	for _, name := range r.names {
		s, ok := known[name]
		if !ok {
			return nil
		}
		for stored := range s.stored(subject) {
			if r.delivers(name, stored) {
				return nil
			}
			refused.Stored = cmp.Or(refused.Stored, stored)
		}
	}
	if r.opts.AllSubjects {
		for _, name := range r.names {
			refused.Allowed = append(refused.Allowed, known[name].subjects...)
		}
		return refused
	}
	for _, name := range r.names {
		refused.add(r.opts.Templates[name])
	}
	return refused
}

func matches(templates []subject.Template, subj string) bool {
	return slices.ContainsFunc(templates, func(t subject.Template) bool { return t.Match(subj) })
}
