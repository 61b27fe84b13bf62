package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// failedFor is how long an origin is not looked up after a failure. A lookup that NATS does not
// permit takes all of its time.
const failedFor = time.Minute

// maxChain bounds the mirrors of mirrors that are followed.
const maxChain = 4

// Routes returns the ways in which a message to a subject reaches a feed. Any of their streams may
// store it; another stream must not, since no feed reads it. A stream that captures the subject
// itself is the only one. No routes are returned where the subject reaches no client, see Check.
//
// A stream that is not known has the subject captured by a stream of its name. Routes looks the
// streams up before it returns no route or such a one, and after Outdated, at most once in
// LookupEvery; it blocks as Lookup does.
func (r *Rules) Routes(ctx context.Context, subject string) []feed.Route {
	routes, unknown := r.routes(subject)
	if (len(routes) == 0 || r.outdated.Load()) && r.refreshIfOld(ctx) {
		routes, unknown = r.routes(subject)
	}
	if len(routes) == 0 && unknown != "" {
		return []feed.Route{{Stream: unknown, Reader: unknown}}
	}
	return routes
}

// Outdated makes the next call of Routes look the streams up: one did not take a message as Routes
// had it. It does not block.
func (r *Rules) Outdated() { r.outdated.Store(true) }

func (r *Rules) routes(subject string) (routes []feed.Route, unknown string) {
	known := *r.streams.Load()
	for _, name := range r.names {
		s, ok := known[name]
		if !ok {
			unknown = name
			continue
		}
		if s.captures(subject) && r.delivers(name, apply(s.transform, subject)) {
			return []feed.Route{{Stream: name, Reader: name}}, ""
		}
		for _, o := range s.origins {
			copied, ok := o.copied(subject)
			if !ok || !o.mayCapture(subject) || !r.delivers(name, apply(s.transform, copied)) {
				continue
			}
			route := feed.Route{Stream: o.stream, Reader: name, Sourced: !o.mirror}
			if !slices.Contains(routes, route) {
				routes = append(routes, route)
			}
		}
	}
	return routes, unknown
}

// delivers reports whether a feed delivers what a stream stores under a subject.
func (r *Rules) delivers(stream, stored string) bool {
	return r.opts.AllSubjects || matches(r.opts.Templates[stream], stored)
}

// follow finds the streams that capture the messages of a stream's origins: an origin of this
// account may be a mirror itself. The name of one that has sources alone is not decided here.
func (r *Rules) follow(ctx context.Context, s stream) stream {
	for i := range s.origins {
		o := &s.origins[i]
		for range maxChain {
			if o.last || o.stream == "" {
				break
			}
			config, err := r.lookUpOrigin(ctx, o.stream)
			switch {
			case err == nil && config.Mirror != nil:
				o.stream, o.last = config.Mirror.Name, config.Mirror.External != nil
			case err == nil && len(config.Sources) > 0:
				o.stream = ""
			default: // the end of the chain
				o.last, o.subjects = true, config.Subjects
			}
		}
	}
	return s
}

var errFailedBefore = errors.New("the last lookup failed")

// lookUpOrigin may be called with mu held alone.
func (r *Rules) lookUpOrigin(ctx context.Context, name string) (jetstream.StreamConfig, error) {
	if at, ok := r.failed[name]; ok && time.Since(at) < failedFor {
		return jetstream.StreamConfig{}, errFailedBefore
	}
	config, err := r.opts.Lookup(ctx, name)
	if err != nil {
		r.failed[name] = time.Now()
	} else {
		delete(r.failed, name)
	}
	return config, err
}
