package presence_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/presence"
	"github.com/tidemark/tidemark/internal/testkit"
)

// conn is a connection of a server.
type conn struct {
	who presence.ConnInfo
	at  atomic.Pointer[string]
}

func (c *conn) Info() presence.ConnInfo { return c.who }

func (c *conn) Position() string {
	if at := c.at.Load(); at != nil {
		return *at
	}
	return ""
}

// node is a node with its own connection to NATS.
type node struct {
	*presence.Presence
	t    *testing.T
	name string
	nc   *nats.Conn
	stop func()
	ids  atomic.Uint64
}

// cluster is a NATS server shared by nodes.
type cluster struct {
	t    *testing.T
	addr string
	dir  string
	stop func()
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	addr, err := testkit.FreeAddr() // the address is kept over an outage
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, addr: addr, dir: t.TempDir()}
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *cluster) start() {
	c.t.Helper()
	srv, err := natsd.Start(context.Background(), natsd.Options{Addr: c.addr, Dir: c.dir, SyncInterval: time.Minute})
	if err != nil {
		c.t.Fatal(err)
	}
	c.stop = sync.OnceFunc(srv.Stop)
}

func (c *cluster) dial() *nats.Conn {
	c.t.Helper()
	nc, err := natsconn.Connect(c.t.Context(), natsconn.Options{URL: "nats://" + c.addr, Wait: true})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	return nc
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// node starts a node; change may be nil.
func (c *cluster) node(name string, change func(*presence.Options)) *node {
	c.t.Helper()
	opts := presence.Options{
		Node: name, Interval: 20 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(testLog{c.t}, nil)).With("node", name),
	}
	if change != nil {
		change(&opts)
	}
	n := &node{t: c.t, name: name, nc: c.dial()}
	js, err := jetstream.New(n.nc)
	if err == nil {
		n.Presence, err = presence.New(n.nc, js, opts)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	n.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	c.t.Cleanup(n.stop)
	return n
}

// add connects a user.
func (n *node) add(user string) *conn {
	c := &conn{who: presence.ConnInfo{ID: n.ids.Add(1), User: user, Feed: "news", Remote: "192.0.2.7:1234", Since: time.Now()}}
	n.Connected(c)
	return c
}

func (n *node) addMany(format string, count int) (all []*conn) {
	for i := range count {
		all = append(all, n.add(fmt.Sprintf(format, strconv.Itoa(i))))
	}
	return all
}

func (n *node) removeAll(all []*conn) {
	for _, c := range all {
		n.Disconnected(c, "gone")
	}
}

// list reads all pages.
func (n *node) list(q presence.Query) ([]presence.Connection, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all []presence.Connection
	for {
		page, err := n.List(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Connections...)
		if q.After = page.Next; q.After == "" {
			return all, nil
		}
	}
}

// awaitCounts waits until a node sees the given number of connections.
func (n *node) awaitCount(want int, q presence.Query) []presence.Connection {
	n.t.Helper()
	var all []presence.Connection
	n.eventually(fmt.Sprintf("%d connections of %+v", want, q), func() bool {
		var err error
		all, err = n.list(q)
		return err == nil && len(all) == want
	})
	return all
}

// eventually polls. It fails the test after a long timeout.
func (n *node) eventually(what string, ok func() bool) {
	n.t.Helper()
	for range 1500 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	n.t.Fatalf("never came: %s; %+v", what, n.Status())
}

func (n *node) nodes() string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := n.Nodes(ctx)
	if err != nil {
		return err.Error()
	}
	var text []string
	for _, a := range all {
		text = append(text, fmt.Sprintf("%s=%d", a.Name, a.Connections))
	}
	return strings.Join(text, " ")
}

func (n *node) awaitNodes(want string) {
	n.t.Helper()
	n.eventually("nodes "+want, func() bool { return n.nodes() == want })
}
