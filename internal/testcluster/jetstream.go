package testcluster

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Server returns the NATS server with a name of JetStream (n1, n2, ...), or nil.
func (t *Topology) Server(name string) *NATSServer {
	for _, s := range t.NATS {
		if s.name == name {
			return s
		}
	}
	return nil
}

// Node returns the node with a name (t1, t2, ...), or nil. Its NATS connection has the same name.
func (t *Topology) Node(name string) *Node {
	for _, n := range t.Nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// errNoLeader means that there is no leader at the moment, for example during an election.
var errNoLeader = errors.New("it has no leader now")

// StreamLeader returns the leader of a stream. It blocks until there is one, or ctx ends.
func (t *Topology) StreamLeader(ctx context.Context, stream string) (*NATSServer, error) {
	return t.leader(ctx, "leader of stream "+stream, func(ctx context.Context, js jetstream.JetStream) (*jetstream.ClusterInfo, error) {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return nil, err
		}
		return s.CachedInfo().Cluster, nil
	})
}

// ConsumerHost returns the leader of a consumer. For one replica, that is the server of the consumer. It
// blocks until there is a leader, or ctx ends.
func (t *Topology) ConsumerHost(ctx context.Context, stream, consumer string) (*NATSServer, error) {
	return t.leader(ctx, "host of consumer "+consumer, func(ctx context.Context, js jetstream.JetStream) (*jetstream.ClusterInfo, error) {
		c, err := js.Consumer(ctx, stream, consumer)
		if err != nil {
			return nil, err
		}
		return c.CachedInfo().Cluster, nil
	})
}

// Consumers returns the names of a stream's consumers. The consumer of a node's tail is called
// tidemark-tail-...; consumers of replays have other names.
func (t *Topology) Consumers(ctx context.Context, stream string) (names []string, err error) {
	err = t.withJetStream(ctx, func(js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		list := s.ConsumerNames(ctx)
		for name := range list.Name() {
			names = append(names, name)
		}
		return list.Err()
	})
	return names, err
}

func (t *Topology) leader(ctx context.Context, what string, ask func(context.Context, jetstream.JetStream) (*jetstream.ClusterInfo, error)) (found *NATSServer, err error) {
	err = t.withJetStream(ctx, func(js jetstream.JetStream) error {
		return await(ctx, what, func(ctx context.Context) error {
			info, err := ask(ctx, js)
			switch {
			case err != nil:
				return err
			case info == nil || t.Server(info.Leader) == nil:
				return errNoLeader
			}
			found = t.Server(info.Leader)
			return nil
		})
	})
	return found, err
}

// withJetStream calls a function with a connection to the running servers.
func (t *Topology) withJetStream(ctx context.Context, use func(jetstream.JetStream) error) error {
	var nc *nats.Conn
	if err := await(ctx, "NATS", func(context.Context) (err error) {
		nc, err = nats.Connect(t.NATSURL(), nats.Name("topology"), nats.MaxReconnects(-1), nats.ReconnectWait(pollPause))
		return err
	}); err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return use(js)
}
