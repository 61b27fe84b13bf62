package jetstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testkit/leaks"
)

// serverConfig names the configuration of the nats-server that this binary is to be instead
// of a test: some tests need servers that can be killed.
const serverConfig = "TIDEMARK_TEST_NATS_SERVER"

func TestMain(m *testing.M) {
	if config := os.Getenv(serverConfig); config != "" {
		if err := beServer(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaks.VerifyTestMain(m)
}

func beServer(config string) error {
	opts, err := server.ProcessConfigFile(config)
	if err != nil {
		return err
	}
	opts.NoSigs, opts.NoLog = true, true
	srv, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	srv.Start()
	srv.WaitForShutdown()
	return nil
}

const streamName = "NOTIFICATIONS"

// stand is a server of its own for one test, with a stream and a connection.
type stand struct {
	t    testing.TB
	opts natsd.Options
	srv  *natsd.Server
	nc   *nats.Conn
	js   jetstream.JetStream
}

func newStand(t testing.TB) *stand {
	t.Helper()
	addr := fmt.Sprint("127.0.0.1:", freePorts(t, 1)[0]) // a restart comes back on the same port
	s := &stand{t: t, opts: natsd.Options{Addr: addr, Dir: t.TempDir(), SyncInterval: time.Minute}}
	s.start()
	t.Cleanup(func() { s.srv.Stop() })
	s.nc = s.connect()
	var err error
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	s.createStream(jetstream.StreamConfig{})
	return s
}

func (s *stand) start() {
	s.t.Helper()
	srv, err := natsd.Start(context.Background(), s.opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.srv = srv
}

func (s *stand) restart() {
	s.t.Helper()
	s.srv.Stop()
	s.start()
}

// answered waits until the server that runs now answers on the stand's connection. That the
// connection calls itself connected says nothing right after a restart: it may not have
// noticed yet that its server went, and what is published then is lost with it.
func (s *stand) answered() {
	s.t.Helper()
	s.await("an answer", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := s.js.Stream(ctx, streamName)
		return err == nil
	})
}

// connect is Connect with short pauses: most cases restart the server.
func (s *stand) connect() *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.srv.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { closeConn(nc) })
	return nc
}

// closeConn waits for the goroutines of the connection, which Close does not.
func closeConn(nc *nats.Conn) {
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if nc.IsClosed() {
		return
	}
	nc.Close()
	<-closed
}

func (s *stand) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

func (s *stand) createStream(cfg jetstream.StreamConfig) {
	s.t.Helper()
	cfg.Name = streamName
	if cfg.Subjects == nil {
		cfg.Subjects = []string{"notifications.>"}
	}
	if _, err := s.js.CreateStream(s.ctx(), cfg); err != nil {
		s.t.Fatal(err)
	}
}

// deleteStream waits until the files are gone, too. nats-server 2.15.2 moves them aside and
// removes them in the background; what is created or deleted under the same name meanwhile
// fails, or leaves its messages to the next stream.
func (s *stand) deleteStream() {
	s.t.Helper()
	if err := s.js.DeleteStream(s.ctx(), streamName); err != nil {
		s.t.Fatal(err)
	}
	s.await("the files are removed", func() bool {
		aside, err := filepath.Glob(filepath.Join(s.opts.Dir, "jetstream", "*", "streams", "."+streamName))
		return err == nil && len(aside) == 0
	})
}

// reset replaces the stream by one with another configuration.
func (s *stand) reset(cfg jetstream.StreamConfig) {
	s.t.Helper()
	s.deleteStream()
	s.createStream(cfg)
}

func (s *stand) stream() jetstream.Stream {
	s.t.Helper()
	stream, err := s.js.Stream(s.ctx(), streamName)
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

func (s *stand) purge(below uint64) {
	s.t.Helper()
	if err := s.stream().Purge(s.ctx(), jetstream.WithPurgeSequence(below)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) deleteMsg(seq uint64) {
	s.t.Helper()
	if err := s.stream().DeleteMsg(s.ctx(), seq); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) open(opts jetstore.Options) *jetstore.Store {
	s.t.Helper()
	return s.openOn(s.nc, opts)
}

func (s *stand) openOn(nc *nats.Conn, opts jetstore.Options) *jetstore.Store {
	s.t.Helper()
	opts.Stream = streamName
	l, err := jetstore.Open(nc, opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(l.Close)
	return l
}

func (s *stand) publish(subject string, data []byte, header nats.Header) uint64 {
	s.t.Helper()
	ack, err := s.js.PublishMsg(s.ctx(), &nats.Msg{Subject: subject, Data: data, Header: header})
	if err != nil {
		s.t.Fatal(err)
	}
	return ack.Sequence
}

// publishMany stores n numbered messages and returns when all are.
func (s *stand) publishMany(n int, subject string) {
	s.t.Helper()
	acks := make([]jetstream.PubAckFuture, n)
	for i := range acks {
		var err error
		if acks[i], err = s.js.PublishAsync(subject, fmt.Append(nil, i)); err != nil {
			s.t.Fatal(err)
		}
	}
	ctx := s.ctx()
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			s.t.Fatal(err)
		case <-ctx.Done():
			s.t.Fatal("the messages were not acknowledged")
		}
	}
}

func (s *stand) epoch(l *jetstore.Store) string {
	s.t.Helper()
	return s.state(l).Epoch
}

func (s *stand) state(l *jetstore.Store) feed.State {
	s.t.Helper()
	state, err := l.State(s.ctx())
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

// consumers returns the names of the stream's consumers that have a prefix.
func (s *stand) consumers(prefix string) (names []string) {
	s.t.Helper()
	list := s.stream().ConsumerNames(s.ctx())
	for name := range list.Name() {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	if list.Err() != nil {
		s.t.Fatal(list.Err())
	}
	return names
}

// patience bounds every wait, so that what never comes fails instead of hanging: long enough for
// a cluster that elects leaders on a machine that has other things to do.
const patience = 2 * time.Minute

// await polls until ok.
func (s *stand) await(what string, ok func() bool) {
	s.t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	s.t.Fatal("never: " + what)
}
