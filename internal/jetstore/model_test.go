package jetstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest/model"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/msgheader"
	"github.com/tidemark/tidemark/internal/natstest"
)

func TestModel_RandomHistories_KeepThePromises(t *testing.T) {
	model.Run(t, model.Kind{
		Command:   "go test ./internal/jetstore -run '^TestModel' -count=1",
		Histories: 60, Parallel: 4,
		Open: func(t testing.TB, p model.Profile) model.Store { return newModelStore(t, p) },
		Limit: func(p *model.Profile) {
			p.Restore = p.Restore && !p.Rollback // they need different backups
			p.Mirror = false
		},
	})
}

// modelStore is a stream of JetStream under the control of the model. Each node has a
// connection of its own, which can be cut.
type modelStore struct {
	*harness
	cfg     jetstream.StreamConfig
	opts    jetstore.Options
	admin   *jetstore.Store
	nodes   []*modelNode
	disk    bool   // backups are copies of the disk
	copied  string // where the latest is
	restore func() // from the latest snapshot
}

type modelNode struct {
	nc   *nats.Conn
	log  *jetstore.Store
	line *line
}

func newModelStore(t testing.TB, p model.Profile) *modelStore {
	rng := rand.New(rand.NewPCG(p.Seed, 10))
	s := &modelStore{harness: newHarness(t), disk: p.Rollback}
	if p.ChosenEpoch {
		s.cfg.Metadata = withEpoch.Metadata
	}
	if rng.IntN(2) == 0 && !s.disk {
		s.cfg.Storage = jetstream.MemoryStorage
	}
	s.opts = jetstore.Options{
		Batch: oneOf(rng, p.ReadBatch, 1, 1024), BatchBytes: oneOf(rng, 300, 5000, 1<<20),
		FollowBatch: oneOf(rng, 1, 3, 50, 1000), FollowBytes: oneOf(rng, 300, 5000, 8<<20),
		Heartbeat:  oneOf(rng, 20*time.Millisecond, 60*time.Millisecond, 400*time.Millisecond),
		MaxCreates: oneOf(rng, 1, 4, 64), InactiveThreshold: oneOf(rng, 0, 250*time.Millisecond),
	}
	s.Reset(s.cfg)
	s.admin = s.open(jetstore.Options{})
	return s
}

func oneOf[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }

func (s *modelStore) NodeStore(int) feed.Store {
	n := &modelNode{line: &line{}}
	var err error
	n.nc, err = nats.Connect(s.Server.ClientURL(), nats.SetCustomDialer(n.line), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { natstest.CloseConn(n.nc) })
	n.log = s.openOn(n.nc, s.opts)
	s.nodes = append(s.nodes, n)
	return n.log
}

func (s *modelStore) Epoch() string { return s.epoch(s.admin) }

func (s *modelStore) Publish(subject string, data []byte) uint64 {
	return s.harness.Publish(subject, data, nil)
}

func (s *modelStore) PublishEnd(subject string, data []byte) uint64 {
	return s.harness.Publish(subject, data, nats.Header{msgheader.End: {msgheader.EndValue}})
}

func (s *modelStore) Trim(first uint64) { s.Purge(first) }
func (s *modelStore) Delete(seq uint64) { s.DeleteMsg(seq) }

func (s *modelStore) PurgeSubject(subject string) {
	if err := s.Stream().Purge(s.Ctx(), jetstream.WithPurgeSubject(subject)); err != nil {
		s.T.Fatal(err)
	}
}

func (s *modelStore) Remove()   { s.DeleteStream() }
func (s *modelStore) Recreate() { s.CreateStream(s.cfg) }

func (s *modelStore) BackUp() {
	if !s.disk {
		s.restore = s.snapshot()
		return
	}
	s.copied = s.T.TempDir()
	s.offline(func() error { return os.CopyFS(s.copied, os.DirFS(filepath.Join(s.Opts.Dir, "jetstream"))) })
}

func (s *modelStore) Restore() {
	s.DeleteStream()
	s.restore()
}

func (s *modelStore) RollBack() {
	dir := filepath.Join(s.Opts.Dir, "jetstream")
	s.offline(func() error { return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(s.copied))) })
}

// offline does something to the disk while the server is stopped.
func (s *modelStore) offline(do func() error) {
	s.T.Helper()
	s.Server.Stop()
	if err := do(); err != nil {
		s.T.Fatal(err)
	}
	s.Start()
	s.AwaitAnswer()
}

func (s *modelStore) SetReachable(node int, reachable bool) {
	s.nodes[node].line.cut(!reachable)
}

func (s *modelStore) Disturb(pick int) string {
	if n := s.nodes[pick%len(s.nodes)]; pick%3 == 0 && n.nc.IsConnected() {
		_ = n.nc.ForceReconnect()
		return fmt.Sprint("node ", pick%len(s.nodes), " reconnects")
	}
	stream, err := s.JS.Stream(s.Ctx(), natstest.StreamName)
	if err != nil {
		return "" // there is none
	}
	var names []string
	for name := range stream.ConsumerNames(s.Ctx()).Name() {
		names = append(names, name)
	}
	if len(names) == 0 {
		return ""
	}
	name := names[pick%len(names)]
	_ = s.JS.DeleteConsumer(s.Ctx(), natstest.StreamName, name) // it may have gone by itself
	return "consumer " + name + " is deleted"
}

func (s *modelStore) Settle() { time.Sleep(time.Millisecond) }
func (s *modelStore) Calm()   { time.Sleep(50 * time.Millisecond) }

// Leaks closes the logs. A consumer whose creation was not answered is left to the server.
func (s *modelStore) Leaks() string {
	for _, n := range s.nodes {
		n.log.Close()
	}
	return ""
}

// line is how a node reaches its server: a dialer whose connections can be cut.
type line struct {
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

var errCut = errors.New("cut off")

// Dial implements nats.CustomDialer.
func (l *line) Dial(network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errCut
	}
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), network, address)
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

func (l *line) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	if down {
		for _, conn := range l.conns {
			conn.Close()
		}
		l.conns = nil
	}
}
