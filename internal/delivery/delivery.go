// Package delivery decides which subjects can reach a client of a feed.
//
// Use it before a publish. JetStream acknowledges every message with a subject of a stream, but a feed
// delivers only some of them. Without this check, publishers would lose messages silently. A feed delivers
// a message if its subject, after the subject transforms of the stream, matches the feed's subjects or
// allow, with canonically encoded values for the variables.
//
// [Rules.Check] checks a subject before it is published, and [Rules.Stored] checks the subject of a stored
// message. [Rules.Routes] returns the streams for a subject.
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

// Options configures New.
type Options struct {
	// Templates contains the subjects and allow of the feeds, by stream.
	Templates map[string][]subject.Template
	// AllSubjects accepts every subject of the streams. It is set if the operator configures it, or if
	// tokens may grant subjects beyond those of the feeds.
	AllSubjects bool
	// Definitions contains the configurations of streams until Lookup has found them.
	Definitions []jetstream.StreamConfig
	// Lookup returns the configuration of a stream on the server. It is also called for streams copied by
	// a stream of Templates. Refresh, Routes, and Check before it rejects a subject call it, at most once
	// in LookupEvery.
	Lookup func(ctx context.Context, stream string) (jetstream.StreamConfig, error)
	// LookupEvery is the minimum interval between lookups; 2 s if zero.
	LookupEvery time.Duration
}

// Rules decides for a set of feeds. It is safe for concurrent use.
type Rules struct {
	opts  Options
	names []string // of the streams, sorted

	streams atomic.Pointer[map[string]stream] // replaced as a whole; unknown streams are missing

	outdated atomic.Bool // a stream did not store a message as expected by Routes

	mu     sync.Mutex // held during a refresh
	looked time.Time
	failed map[string]time.Time // time of the last failed lookup of an origin
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

// Stored returns a function for feed.Options.Deliverable. The function reports whether a stored subject of
// a stream can be delivered. It does not block.
func (r *Rules) Stored(stream string) func(subject string) bool {
	templates := r.opts.Templates[stream]
	return func(subject string) bool { return matches(templates, subject) }
}

// Refresh looks up all streams. A stream whose lookup fails keeps its known configuration. Refresh blocks
// as Lookup does.
func (r *Rules) Refresh(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refreshLocked(ctx)
}

// refreshLocked requires only mu.
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

// refreshIfOld reports whether it has looked up the streams.
func (r *Rules) refreshIfOld(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < r.opts.LookupEvery {
		return false
	}
	r.refreshLocked(ctx)
	return true
}

// Check returns an *Error if a published subject would reach no client, and nil otherwise.
//
// It accepts all subjects without feeds, and while a stream is unknown: then JetStream decides. It blocks
// on a lookup only before it rejects a subject, because the stream may have changed.
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
