package server

import (
	"cmp"
	"context"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/metrics"
	"github.com/tidemark/tidemark/internal/microservice"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
)

// natsLinks are the node's connections to NATS, and its embedded server.
type natsLinks struct {
	embedded *natsd.Server // nil with a NATS server elsewhere
	main     *nats.Conn
	tails    *nats.Conn // of the tails, and requests about their streams
	replays  *nats.Conn // of replays
	micro    *microservice.Service
}

// connectNATS makes the node's connections to NATS. A NATS server sends to a connection in order, and disconnects
// it when more than 64 MB are queued. So replays have a connection of their own: they must neither disconnect the
// tails nor delay live events and the answers to publishers. Publishes have one, too, because a burst of events
// for the tails would delay these answers.
func (s *Server) connectNATS(ctx context.Context) (err error) {
	s.nats.micro = microservice.New()
	s.opts.NATS.Denied = func(err error) bool { return s.nats.micro.Denied(err) || s.revocations.Denied(err) }
	for _, c := range []struct {
		to     **nats.Conn
		suffix string
	}{{&s.nats.main, ""}, {&s.nats.tails, "tail"}, {&s.nats.replays, "replay"}} {
		opts := s.opts.NATS
		if c.suffix != "" {
			opts.Name = cmp.Or(opts.Name, "tidemark") + "-" + c.suffix
			opts.Bulk, opts.Secondary = c.to == &s.nats.replays, true
			opts.Logger, opts.Denied = opts.Logger.With("connection", c.suffix), nil
		}
		if *c.to, err = natsconn.Connect(ctx, opts); err != nil {
			return err
		}
		s.life.OnStop((*c.to).Close)
	}
	return nil
}

// natsConns returns the connections with their names in metrics and health.
func (s *Server) natsConns() []metrics.NATSConn {
	return []metrics.NATSConn{{Name: "main", Conn: s.nats.main}, {Name: "tail", Conn: s.nats.tails}, {Name: "replay", Conn: s.nats.replays}}
}

// announce announces the node as a NATS micro service, and blocks until ctx ends.
func (s *Server) announce(ctx context.Context) {
	opts := microservice.Options{
		Node: s.opts.Node.Name, Version: s.opts.Node.Version, Addr: s.Addr().String(), Logger: s.opts.Logger,
		Status: func(ctx context.Context) any { return s.health.Full(ctx) },
		Stats: func() any {
			connections, replays := s.clients.admission.Counts()
			return map[string]int{"connections": connections, "replays": replays}
		},
	}
	for _, f := range s.opts.Feeds {
		opts.Feeds = append(opts.Feeds, f.Name)
	}
	s.nats.micro.Run(ctx, s.nats.main, opts)
}
