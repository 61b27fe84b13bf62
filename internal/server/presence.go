package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/presence"
	"github.com/tidemark/tidemark/pkg/auth"
)

// nameNode gives a node without a name one.
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
		o.Replicas = s.replicas()
	}
	s.presence, err = presence.New(s.nats, s.js, presence.Options{
		Node: s.opts.Node.Name, Bucket: o.Bucket, TTL: o.TTL, Replicas: o.Replicas, Interval: o.Interval, Events: o.Events,
		Logger: s.opts.Logger.With("part", "presence"),
	})
	if err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	return nil
}

// replicas are those of the definitions of what is served: who wants its events to outlive a
// server wants to know who is there, too.
func (s *Server) replicas() int {
	most := 1
	for _, def := range s.opts.Streams {
		if s.feeds[def.Name] != nil {
			most = max(most, def.Replicas)
		}
	}
	return most
}

// observer is nil without presence, and not a nil pointer that looks like something.
func (s *Server) observer() feedhttp.Observer {
	if s.presence == nil {
		return nil
	}
	return observer{s.presence}
}

// observer hands streams on from HTTP.
type observer struct{ *presence.Presence }

func (o observer) Connected(s feedhttp.Stream) { o.Presence.Connected(streamSource{s}) }

func (o observer) Disconnected(s feedhttp.Stream, reason string) {
	o.Presence.Disconnected(streamSource{s}, reason)
}

// streamSource is as small as a pointer: 100,000 of them need no memory of their own.
type streamSource struct{ feedhttp.Stream }

func (s streamSource) Info() presence.ConnInfo { return presence.ConnInfo(s.Who()) }

func (s streamSource) Position() string {
	at := s.Stream.Position()
	if at.Epoch == "" {
		return "" // it is not open yet
	}
	return at.String()
}

// withoutKeys is the source where there are neither keys nor tokens: with Options.Dev programs of
// this machine have the right, else the answer says what to set.
func (s *Server) withoutKeys(what, set string) auth.Source {
	if s.opts.Dev {
		return auth.LoopbackOnly()
	}
	return func(*http.Request) (auth.Identity, error) {
		return auth.Identity{}, &auth.Error{Status: http.StatusForbidden, Detail: what + " needs " + set + "; --dev lets programs of this machine try it"}
	}
}

// openWatchers makes the source that says who may read who is connected: keys and tokens, and
// where there are neither, with Options.Dev, this machine itself.
func (s *Server) openWatchers() {
	var sources []auth.Source
	if s.keys != nil {
		sources = append(sources, s.keys.Identify)
	}
	if s.opts.Presence.ByToken && s.tokens != nil {
		sources = append(sources, s.tokens.Identify)
	}
	if len(sources) == 0 {
		sources = append(sources, s.withoutKeys("presence", "an API key with "+auth.PresenceRight+" in publish.keys, or auth.jwt.presence_claim"))
	}
	s.watcher = s.revoked.RejectRevoked(auth.Required(sources...))
}
