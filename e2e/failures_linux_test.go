package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/testcluster"
	"github.com/tidemark/tidemark/pkg/sse"
)

const tailPrefix, replayPrefix = "tidemark-tail-", "tidemark-replay-"

// TestCluster_PartsFail_ClientsReceiveEachEventOnce breaks the parts of a cluster one by one (three nodes, three NATS servers and nginx), and counts
// the events of clients that stay connected.
func TestCluster_PartsFail_ClientsReceiveEachEventOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := filepath.Join(dir, "n1") // of the first NATS server
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	noDisk := mountDisk(t, disk)
	f := newClusterHarness(t, testcluster.Options{Dir: dir})
	f.connectClients()
	f.p.fill(backlog)
	f.last = backlog

	f.publishDuring("each node is killed", func(t *testing.T) {
		for _, n := range f.Nodes {
			killAndRestart(t, n.Process)
			awaitTopology(t, f.Topology)
		}
	})
	f.publishDuring("nginx is killed", func(t *testing.T) { killAndRestart(t, f.Nginx.Process) })
	f.publishDuring("the stream's leader is killed", func(t *testing.T) { killAndRestart(t, f.leader(t).Process) })
	f.publishDuring("the host of a tail is killed", func(t *testing.T) {
		var host *testcluster.NATSServer
		eventually(t, "a tail", func() bool {
			for _, tail := range f.consumers(t, tailPrefix) { // none while nodes recreate them
				if on := f.host(t, tail); on != nil {
					host = on
				}
			}
			return host != nil
		})
		killAndRestart(t, host.Process)
	})
	f.publishDuring("the host of a replay is killed", f.replayHostDies)
	f.publishDuring("a follower is paused, and lags", func(t *testing.T) {
		leader := f.leader(t)
		i := slices.IndexFunc(f.NATS, func(s *testcluster.NATSServer) bool { return s != leader })
		pause(t, f.NATS[i], 3*time.Second)
	})
	f.publishDuring("the stream's leader is paused", func(t *testing.T) { pause(t, f.leader(t), 3*time.Second) })
	f.publishDuring("a node is cut off for a moment", func(*testing.T) {
		f.isolate(func() { time.Sleep(time.Second) })
	})
	f.publishBatchDuring(1000, "a node is cut off for longer than its window", func(*testing.T) {
		f.isolate(func() { f.p.awaitStored(f.last - 150) })
	})
	f.publishDuring("all NATS servers are killed", func(t *testing.T) {
		for _, s := range f.NATS {
			s.Kill()
		}
		for _, s := range f.NATS {
			restart(t, s.Process)
		}
	})
	if noDisk == nil {
		f.lead(f.NATS[0])
		f.publishDuring("the disk of the stream's leader is full", func(t *testing.T) { f.diskIsFull(t, disk) })
	} else {
		t.Log(noDisk)
	}
	f.publishDuring("nodes are replaced one by one", func(t *testing.T) {
		for _, n := range f.Nodes {
			terminate(t, n.Process)
			restart(t, n.Process)
			awaitTopology(t, f.Topology)
		}
	})
	f.publishDuring("NATS servers are replaced one by one", func(t *testing.T) {
		for _, s := range f.NATS {
			terminate(t, s.Process)
			restart(t, s.Process)
			awaitTopology(t, f.Topology)
		}
	})
	for _, c := range f.clients {
		c.wantExactly(numbersOf(c.user, f.last))
	}
	f.p.checkStored(f.last)
}

// replayHostDies lets a client replay the whole stream, slowly, and kills the server of its consumer during the
// replay.
func (f *clusterHarness) replayHostDies(t *testing.T) {
	const smallBuffer = 32 << 10 // a much smaller one would take minutes
	up := f.p.stored.Load()      // the other clients wait for the rest
	slow := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialWithBuffer(smallBuffer)}}
	others := f.consumers(t, replayPrefix)
	resp, err := slow.Get(f.Nodes[1].URL + "/events?user=" + me + "&from=all")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := sse.NewDecoder(resp.Body)
	var got []int
	read := func(n int) {
		t.Helper()
		for want := len(got) + n; len(got) < want && (len(got) == 0 || got[len(got)-1] < int(up)); {
			ev, err := events.Next()
			if err != nil {
				t.Fatalf("after %d events: %v", len(got), err)
			}
			switch ev.Type {
			case "":
				got = append(got, number(string(ev.Data)))
			case "tidemark.gap":
				t.Errorf("a gap: %s", ev.Data)
			}
		}
	}
	read(10)
	var host *testcluster.NATSServer
	eventually(t, "the consumer of this client", func() bool {
		for _, name := range f.consumers(t, replayPrefix) {
			if !slices.Contains(others, name) {
				host = f.host(t, name)
			}
		}
		return host != nil
	})
	host.Kill()
	t.Logf("%s is killed, %d events were read", host.Name(), len(got))
	read(backlog / 2)
	restart(t, host.Process)
	read(f.last)
	if i := slices.Index(got, int(up)); i < 0 {
		i = len(got)
		got = got[:i]
	}
	if want := numbersOf(me, got[len(got)-1]); !slices.Equal(got, want) {
		t.Error(firstDifference(got, want))
	}
}

// lead makes a server the leader of the stream.
func (f *clusterHarness) lead(server *testcluster.NATSServer) {
	f.t.Helper()
	nc, err := nats.Connect(f.NATSURL())
	if err != nil {
		f.t.Fatal(err)
	}
	defer nc.Close()
	eventually(f.t, server.Name()+" leads the stream", func() bool {
		_, _ = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.NOTIFICATIONS",
			fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, server.Name()), time.Second)
		return f.leader(f.t) == server
	})
}

// diskIsFull fills the disk of the first server, which leads the stream.
func (f *clusterHarness) diskIsFull(t *testing.T, disk string) {
	free := fillDisk(t, disk)
	from := f.p.stored.Load()
	f.p.awaitStored(f.last - 10)
	t.Logf("with a full disk %d events were stored; the leader is %s", f.p.stored.Load()-from, f.leader(t).Name())
	free()
	terminate(t, f.NATS[0].Process) // it rejects publishes until its restart
	restart(t, f.NATS[0].Process)
}
