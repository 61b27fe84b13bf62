// Package natstest runs NATS servers for tests: a server with a stream, a server with other options, or a
// cluster of three. The servers are real and end with the test.
package natstest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testkit"
)

// StreamName is the stream of [New] and [NewCluster], with the subjects notifications.>.
const StreamName = "NOTIFICATIONS"

// Harness is a server of its own for one test, with a stream and a connection.
type Harness struct {
	T      testing.TB
	Opts   natsd.Options
	Server *natsd.Server
	Conn   *nats.Conn
	JS     jetstream.JetStream
}

// New starts a server, connects to it and creates the stream. Server, connection and files end with t.
func New(t testing.TB) *Harness {
	t.Helper()
	addr := fmt.Sprint("127.0.0.1:", FreePorts(t, 1)[0]) // a restart comes back on the same port
	s := &Harness{T: t, Opts: natsd.Options{Addr: addr, Dir: t.TempDir(), SyncInterval: time.Minute}}
	s.Start()
	t.Cleanup(func() { s.Server.Stop() })
	s.Conn = s.Connect()
	var err error
	if s.JS, err = jetstream.New(s.Conn); err != nil {
		t.Fatal(err)
	}
	s.CreateStream(jetstream.StreamConfig{})
	return s
}

// Start starts the server, also after Server.Stop: on the same port, with the same files.
func (s *Harness) Start() {
	s.T.Helper()
	srv, err := natsd.Start(context.Background(), s.Opts)
	if err != nil {
		s.T.Fatal(err)
	}
	s.Server = srv
}

// Restart stops the server and starts it on the same port.
func (s *Harness) Restart() {
	s.T.Helper()
	s.Server.Stop()
	s.Start()
}

// AwaitAnswer waits until the present server answers on the connection of s. Right after a restart the
// status connected is not enough: the connection may not have noticed yet that its server has stopped, and
// messages that are published then are lost.
func (s *Harness) AwaitAnswer() {
	s.T.Helper()
	s.Await("an answer", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := s.JS.Stream(ctx, StreamName)
		return err == nil
	})
}

// Connect returns a connection with short reconnect pauses: most tests restart the server.
func (s *Harness) Connect() *nats.Conn {
	s.T.Helper()
	nc, err := nats.Connect(s.Server.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { CloseConn(nc) })
	return nc
}

// CloseConn closes nc and waits for its goroutines, unlike nc.Close.
func CloseConn(nc *nats.Conn) {
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if nc.IsClosed() {
		return
	}
	nc.Close()
	<-closed
}

// Ctx returns a context for WaitTimeout, or until the end of the test.
func (s *Harness) Ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), WaitTimeout)
	s.T.Cleanup(cancel)
	return ctx
}

// CreateStream creates the stream StreamName; its default subjects are notifications.>.
func (s *Harness) CreateStream(cfg jetstream.StreamConfig) {
	s.T.Helper()
	cfg.Name = StreamName
	if cfg.Subjects == nil {
		cfg.Subjects = []string{"notifications.>"}
	}
	if _, err := s.JS.CreateStream(s.Ctx(), cfg); err != nil {
		s.T.Fatal(err)
	}
}

// DeleteStream deletes the stream and waits until the files are gone, too. nats-server 2.15.2 moves them aside and
// removes them in the background; until then, creating or deleting a stream of that name
// fails, or leaves its messages to the next stream.
func (s *Harness) DeleteStream() {
	s.T.Helper()
	if err := s.JS.DeleteStream(s.Ctx(), StreamName); err != nil {
		s.T.Fatal(err)
	}
	s.Await("the files are removed", func() bool {
		aside, err := filepath.Glob(filepath.Join(s.Opts.Dir, "jetstream", "*", "streams", "."+StreamName))
		return err == nil && len(aside) == 0
	})
}

// Reset replaces the stream by one with another configuration.
func (s *Harness) Reset(cfg jetstream.StreamConfig) {
	s.T.Helper()
	s.DeleteStream()
	s.CreateStream(cfg)
}

// Stream returns the stream StreamName with its present state.
func (s *Harness) Stream() jetstream.Stream {
	s.T.Helper()
	stream, err := s.JS.Stream(s.Ctx(), StreamName)
	if err != nil {
		s.T.Fatal(err)
	}
	return stream
}

// Purge deletes the messages below a sequence.
func (s *Harness) Purge(below uint64) {
	s.T.Helper()
	if err := s.Stream().Purge(s.Ctx(), jetstream.WithPurgeSequence(below)); err != nil {
		s.T.Fatal(err)
	}
}

// DeleteMsg deletes one message.
func (s *Harness) DeleteMsg(seq uint64) {
	s.T.Helper()
	if err := s.Stream().DeleteMsg(s.Ctx(), seq); err != nil {
		s.T.Fatal(err)
	}
}

// Publish stores one message and returns its sequence.
func (s *Harness) Publish(subject string, data []byte, header nats.Header) uint64 {
	s.T.Helper()
	ack, err := s.JS.PublishMsg(s.Ctx(), &nats.Msg{Subject: subject, Data: data, Header: header})
	if err != nil {
		s.T.Fatal(err)
	}
	return ack.Sequence
}

// PublishMany stores n numbered messages and returns when all are. A thousand at a time wait for their
// acknowledgement: nats.go fails above 4,000.
func (s *Harness) PublishMany(n int, subject string) {
	s.T.Helper()
	ctx := s.Ctx()
	for first := 0; first < n; first += 1000 {
		acks := make([]jetstream.PubAckFuture, 0, 1000)
		for i := first; i < min(first+1000, n); i++ {
			ack, err := s.JS.PublishAsync(subject, fmt.Append(nil, i))
			if err != nil {
				s.T.Fatal(err)
			}
			acks = append(acks, ack)
		}
		for _, ack := range acks {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				s.T.Fatal(err)
			case <-ctx.Done():
				s.T.Fatal("the messages were not acknowledged")
			}
		}
	}
}

// Consumers returns the names of the stream's consumers with a prefix.
func (s *Harness) Consumers(prefix string) (names []string) {
	s.T.Helper()
	list := s.Stream().ConsumerNames(s.Ctx())
	for name := range list.Name() {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	if list.Err() != nil {
		s.T.Fatal(list.Err())
	}
	return names
}

// WaitTimeout bounds every wait of a test. It is long enough for a cluster that elects leaders on a
// loaded machine.
const WaitTimeout = 2 * time.Minute

// Await polls until ok, and fails the test after WaitTimeout.
func (s *Harness) Await(what string, ok func() bool) {
	s.T.Helper()
	for begun := time.Now(); time.Since(begun) < WaitTimeout; time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	s.T.Fatal("never: " + what)
}

// StartServer runs a nats-server with arbitrary options.
func StartServer(t testing.TB, change func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, StoreDir: t.TempDir()}
	change(opts)
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return srv
}

// Connect waits for a connection. It is closed with t.
func Connect(t testing.TB, opts natsconn.Options) *nats.Conn {
	t.Helper()
	opts.Wait = true
	nc, err := natsconn.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { CloseConn(nc) })
	return nc
}

// Cluster runs three servers with routes between them.
func Cluster(t testing.TB) (servers []*server.Server, urls string) {
	t.Helper()
	ports := FreePorts(t, 3)
	var routes []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	var clients []string
	for n, port := range ports {
		srv := StartServer(t, func(o *server.Options) {
			o.JetStream, o.ServerName = true, fmt.Sprint("node-", n)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		})
		servers, clients = append(servers, srv), append(clients, srv.ClientURL())
	}
	return servers, strings.Join(clients, ",")
}

// FreePorts returns free TCP ports of 127.0.0.1.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	ports, err := testkit.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// NewCluster starts three servers, with the stream on all of them.
func NewCluster(t testing.TB) (*Harness, []*server.Server, natsconn.Options) {
	t.Helper()
	servers, urls := Cluster(t)
	opts := natsconn.Options{URL: urls}
	s := &Harness{T: t, Conn: Connect(t, opts)}
	var err error
	if s.JS, err = jetstream.New(s.Conn); err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.StreamConfig{Name: StreamName, Subjects: []string{"notifications.>"}, Replicas: 3}
	s.Await("the cluster takes streams", func() bool {
		ctx, cancel := context.WithTimeout(s.Ctx(), 500*time.Millisecond) // a cluster without a leader is silent
		defer cancel()
		_, err := s.JS.CreateStream(ctx, cfg)
		return err == nil
	})
	s.Await("the replicas are current", func() bool { return ReplicasCurrent(s.Stream().CachedInfo().Cluster) })
	return s, servers, opts
}

// ReplicasCurrent reports that a stream on three servers has a leader and two current replicas.
func ReplicasCurrent(info *jetstream.ClusterInfo) bool {
	if info == nil || info.Leader == "" || len(info.Replicas) != 2 {
		return false
	}
	return info.Replicas[0].Current && info.Replicas[1].Current
}

// DeleteNamed deletes a stream by its name.
func (s *Harness) DeleteNamed(name string) {
	s.T.Helper()
	if err := s.JS.DeleteStream(s.Ctx(), name); err != nil {
		s.T.Fatal(err)
	}
}

// OtherStream creates a stream besides StreamName.
func (s *Harness) OtherStream(cfg jetstream.StreamConfig) jetstream.Stream {
	s.T.Helper()
	stream, err := s.JS.CreateStream(s.Ctx(), cfg)
	if err != nil {
		s.T.Fatal(err)
	}
	return stream
}
