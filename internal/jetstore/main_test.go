package jetstore_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
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

// harness is natstest's with the methods that need a Store.
type harness struct{ *natstest.Harness }

func newHarness(t testing.TB) *harness { return &harness{natstest.New(t)} }

func newClusterHarness(t testing.TB) (*harness, []*server.Server, natsconn.Options) {
	t.Helper()
	s, servers, opts := natstest.NewCluster(t)
	return &harness{s}, servers, opts
}

func (s *harness) open(opts jetstore.Options) *jetstore.Store {
	s.T.Helper()
	return s.openOn(s.Conn, opts)
}

func (s *harness) openOn(nc *nats.Conn, opts jetstore.Options) *jetstore.Store {
	s.T.Helper()
	opts.Stream = natstest.StreamName
	l, err := jetstore.Open(nc, opts)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(l.Close)
	return l
}

func (s *harness) epoch(l *jetstore.Store) string {
	s.T.Helper()
	return s.state(l).Epoch
}

func (s *harness) state(l *jetstore.Store) feed.State {
	s.T.Helper()
	state, err := l.State(s.Ctx())
	if err != nil {
		s.T.Fatal(err)
	}
	return state
}
