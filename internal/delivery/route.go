package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// failedFor is the time for which a failed lookup of an origin is not repeated. A lookup without
// permission takes its whole timeout.
const failedFor = time.Minute

// maxChain is the maximum number of mirrors in a chain to follow.
const maxChain = 4

// Routes returns the routes of a message with a subject to a feed.
//
// The message may be stored in the stream of any route, but not in another stream, because no feed reads
// that. If a stream of a feed captures the subject itself, it is the only route. There are no routes if
// the subject reaches no client; see Check.
//
// An unknown stream is treated as the stream that captures the subject. Routes looks up the streams before
// it returns no route or such a route, and after Outdated, at most once in LookupEvery. It blocks as
// Lookup does.
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

// Outdated makes the next call of Routes look up the streams. Call it if a stream did not store a message
// as expected by Routes. It does not block.
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

// delivers reports whether a feed delivers a stored subject of a stream.
func (r *Rules) delivers(stream, stored string) bool {
	return r.opts.AllSubjects || matches(r.opts.Templates[stream], stored)
}

// follow finds the streams that capture the messages of a stream's origins, because an origin of this
// account may be a mirror itself. It does not decide for an origin with sources.
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

// lookUpOrigin requires only mu.
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
