package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/presence"
)

// nameNode sets the name of a node that has none.
func (s *Server) nameNode(context.Context) error {
	node := &s.opts.Node
	if node.Name == "" {
		node.Name = presence.DefaultNode()
	}
	if err := presence.CheckNode(node.Name); err != nil {
		return fmt.Errorf("node.name: %w", err)
	}
	return nil
}

func (s *Server) openPresence(context.Context) (err error) {
	o := s.opts.Presence
	if !o.Enabled {
		return nil
	}
	if o.Replicas == 0 {
		o.Replicas = s.opts.replicas()
	}
	s.presence, err = presence.New(s.nats.main, s.backend.JetStream, presence.Options{
		Node: s.opts.Node.Name, Bucket: o.Bucket, TTL: o.TTL, Replicas: o.Replicas, Interval: o.Interval, Events: o.Events,
		Logger: s.opts.Logger.With("component", "presence"),
	})
	if err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	return nil
}

// replicas returns the most replicas of the definitions of the feeds' streams. Presence and revocations then
// survive the loss of a NATS server whenever the events do.
func (o *Options) replicas() int {
	most := 1
	for _, def := range o.Streams {
		if slices.ContainsFunc(o.Feeds, func(f FeedOptions) bool { return f.Stream == def.Name }) {
			most = max(most, def.Replicas)
		}
	}
	return most
}

// observer returns nil without presence, and not an interface with a nil pointer.
func (s *Server) observer() feedhttp.Observer {
	if s.presence == nil {
		return nil
	}
	return observer{s.presence}
}

// observer reports the connections of HTTP handlers to presence.
type observer struct{ *presence.Presence }

func (o observer) Connected(s feedhttp.Conn) { o.Presence.Connected(connSource{s}) }

func (o observer) Disconnected(s feedhttp.Conn, reason string) {
	o.Presence.Disconnected(connSource{s}, reason)
}

// connSource is a struct of one pointer, so that converting it to an interface does not allocate.
type connSource struct{ feedhttp.Conn }

func (s connSource) Info() presence.ConnInfo { return presence.ConnInfo(s.Conn.Info()) }

func (s connSource) Position() string {
	at := s.Conn.Position()
	if at.Epoch == "" {
		return "" // it is not open yet
	}
	return at.String()
}
