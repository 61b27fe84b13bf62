package server

import (
	"cmp"
	"context"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/metrics"
)

// connectNATS makes the node's connections to NATS. The server disconnects a connection that has more
// than 64 MB waiting, and sends what waits in order: what replays read must neither take the tails
// along nor delay live events and the answers to publishers. A burst of events that the tails read
// does not delay these answers either.
func (s *Server) connectNATS(ctx context.Context) (err error) {
	for _, c := range []struct {
		to     **nats.Conn
		suffix string
	}{{&s.nats, ""}, {&s.tails, "tail"}, {&s.replays, "replay"}} {
		opts := s.opts.NATS
		if c.suffix != "" {
			opts.Name = cmp.Or(opts.Name, "tidemark") + "-" + c.suffix
			opts.Bulk, opts.Secondary = c.to == &s.replays, true
			opts.Logger, opts.Denied = opts.Logger.With("connection", c.suffix), nil
		}
		if *c.to, err = jetstore.Connect(ctx, opts); err != nil {
			return err
		}
		s.onClose((*c.to).Close)
	}
	return nil
}

// natsConns are the connections by the names that metrics and health have for them.
func (s *Server) natsConns() []metrics.NATSConn {
	return []metrics.NATSConn{{Name: "main", Conn: s.nats}, {Name: "tail", Conn: s.tails}, {Name: "replay", Conn: s.replays}}
}
