package publish

import (
	"context"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// errForeignStream refuses a message whose Nats-Expected-Stream names another stream.
const errForeignStream = 10060

// routed is a message and its routes to feeds.
type routed struct {
	feed.Message
	routes []feed.Route
}

func (p *Publisher) route(ctx context.Context, msgs []feed.Message) []routed {
	all := make([]routed, len(msgs))
	for i, msg := range msgs {
		all[i].Message = msg
		if p.opts.Routes != nil {
			all[i].routes = p.opts.Routes(ctx, msg.Subject)
		}
	}
	return all
}

// stream returns the one stream that may store the message; empty where there are several, or
// where it is not known.
func (m routed) stream() string {
	if len(m.routes) == 0 {
		return ""
	}
	first := m.routes[0].Stream
	if slices.ContainsFunc(m.routes, func(r feed.Route) bool { return r.Stream != first }) {
		return ""
	}
	return first
}

// to returns the route through the stream that has stored the message. A route with the sequences of
// that stream is preferred.
func (m routed) to(stream string) feed.Route {
	if len(m.routes) == 0 {
		return feed.Route{Stream: stream, Reader: stream}
	}
	route := feed.Route{Stream: stream, Reader: stream, Sourced: true} // no feed is known to read it
	for _, r := range m.routes {
		if r.Stream == stream && route.Sourced {
			route = r
		}
	}
	return route
}

// misrouted reports that the stream which took the subject is not the one of Options.Routes.
func (p *Publisher) misrouted(err *jetstream.APIError) {
	if err.ErrorCode == errForeignStream && p.opts.Misrouted != nil {
		p.opts.Misrouted()
	}
}
