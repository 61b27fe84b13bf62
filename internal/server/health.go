package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/natsconn"
)

// openHealth makes the health checks. It comes after all parts that they check.
func (s *Server) openHealth(context.Context) error {
	opts := health.Options{
		Node: s.opts.Node.Name, Version: s.opts.Node.Version, Engine: "auto", Started: time.Now(),
		Checks: []health.Check{
			{Name: "node", Do: s.checkDraining}, {Name: "nats", Do: s.checkNATS}, {Name: "streams", Do: s.streams.Err},
			{Name: "revocations", Do: s.checkRevocations},
		},
		Feeds: s.backend.Feeds, Handlers: s.clients.handlers, Admission: s.clients.admission, Budget: s.backend.Budget, NATSServer: s.nats.main.ConnectedServerName,
	}
	if s.opts.HTTP.EngineOff {
		opts.Engine = "off"
	}
	if s.nats.embedded != nil { // a server that cannot store still serves the stored events
		opts.Checks = append(opts.Checks, health.Check{Name: "store", Do: func() error { return health.Degraded(s.nats.embedded.Err()) }})
	}
	if s.callers.headers != nil {
		opts.IgnoredHeaders = s.callers.headers.Ignored
	}
	if s.presence != nil {
		opts.Presence = s.presence.Status
	}
	s.health = health.New(opts)
	return nil
}

func (s *Server) checkDraining() error {
	if s.drain.draining() {
		return errors.New("draining")
	}
	return nil
}

func (s *Server) checkNATS() error {
	for _, c := range s.natsConns() {
		if c.Conn.IsConnected() {
			continue
		}
		err := natsconn.LastError(c.Conn)
		if err == nil {
			err = errors.New("not connected")
		}
		return fmt.Errorf("connection %s: %s: %w", c.Name, c.Conn.Status(), err)
	}
	return nil
}

// checkRevocations returns an error if the node cannot store revocations. The node is then degraded, but serves.
func (s *Server) checkRevocations() error {
	ready, err := s.revocations.Check()
	if ready {
		return health.Degraded(err)
	}
	return err
}
