package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/e2e/topology"
)

// topologyPatience is how long a topology may take to become ready. It is generous: six
// processes elect leaders on a machine that has other things to do.
const topologyPatience = 3 * time.Minute

// startTopology starts one that is ready, and ends with the test; a process that dies by itself
// fails it.
func startTopology(t *testing.T, opts topology.Options) *topology.Topology {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the files of the topology are for Unix")
	}
	if opts.Nginx {
		if _, err := topology.LookNginx(); errors.Is(err, topology.ErrNoNginx) {
			t.Skip(err)
		}
	}
	opts.Dir, opts.Binaries = t.TempDir(), binaries(t)
	opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	topo, err := topology.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := topo.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range topo.Processes() {
				t.Logf("the end of %s:\n%s", filepath.Base(p.LogFile()), tail(p.LogFile(), 3<<10))
			}
		}
	})
	awaitTopology(t, topo)
	return topo
}

func awaitTopology(t *testing.T, topo *topology.Topology) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), topologyPatience)
	defer cancel()
	if err := topo.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestTopology kills a node and the NATS server that leads the stream, both with SIGKILL, while
// events are published: through nginx, and past it, everybody has every event once, in order.
func TestTopology(t *testing.T) {
	t.Parallel()
	const total = 604 // the last number is one for all
	topo := startTopology(t, topology.Options{Nginx: true, NodeEnv: func(int) []string {
		return []string{"TIDEMARK_SSE_RETRY=100ms", "TIDEMARK_SSE_HEARTBEAT=1s"}
	}})
	type client struct {
		*follower
		user string
	}
	var clients []client
	for i := range 6 {
		clients = append(clients,
			client{follow(t, fmt.Sprintf("client %d by HTTP", i), topo.Nginx.URL+"/events?user=42", 0), me},
			client{follow(t, fmt.Sprintf("client %d by HTTPS", i), topo.Nginx.TLSURL+"/sse-notifications?user=43", 0), other})
	}
	for i, n := range topo.Nodes[1:] { // the first is to be killed for good
		clients = append(clients, client{follow(t, fmt.Sprintf("client of node %d", i+2), n.URL+"/events?user=42", 0), me})
	}
	for _, c := range clients {
		c.awaitOpen(1)
	}

	checkTails(t, topo)

	p := newProducerAt(t, topo.NATSURL())
	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(1, total-1) })
	defer publishing.Wait()
	p.awaitStored(total / 4)
	topo.Nodes[0].Kill()
	p.awaitStored(total / 2)
	leader, err := topo.StreamLeader(t.Context(), "NOTIFICATIONS")
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	t.Logf("killed the node %s and the server %s", topo.Nodes[0].Name(), leader.Name())
	publishing.Wait()
	p.publish(total, total) // for all

	for _, c := range clients {
		c.wantExactly(numbersOf(c.user, total))
	}
	for _, dead := range []*topology.Process{topo.Nodes[0].Process, leader.Process} {
		if err := dead.Start(); err != nil {
			t.Error(err)
		}
	}
	awaitTopology(t, topo)
	p.checkStored(total)
}

// checkTails: each node follows the stream with a consumer, which is on one of the servers.
func checkTails(t *testing.T, topo *topology.Topology) {
	t.Helper()
	names, err := topo.Consumers(t.Context(), "NOTIFICATIONS")
	if err != nil {
		t.Fatal(err)
	}
	tails := 0
	for _, name := range names {
		if !strings.HasPrefix(name, "tidemark-tail-") {
			continue
		}
		tails++
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		host, err := topo.ConsumerHost(ctx, "NOTIFICATIONS", name)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s is on %s", name, host.Name())
	}
	if tails < len(topo.Nodes) {
		t.Errorf("%d nodes have %d tails: %v", len(topo.Nodes), tails, names)
	}
}
