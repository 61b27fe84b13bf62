package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// clusterHarness is a cluster with clients that stay connected through failures. Node t1 reaches NATS through
// links that can be cut; node t2 keeps few events in memory.
type clusterHarness struct {
	t *testing.T
	*testcluster.Topology
	clients []clusterClient
	links   []*proxy
	p       *producer
	last    int // the last published number
}

type clusterClient struct {
	*follower
	user string
}

const (
	smallWindow = 100 // events that t2 keeps; t1 keeps 500
	backlog     = 4200
)

func newClusterHarness(t *testing.T, opts testcluster.Options) *clusterHarness {
	t.Helper()
	f := &clusterHarness{t: t}
	opts.Nginx = true
	opts.NodeEnv = func(i int) []string {
		return []string{
			"TIDEMARK_SSE_RETRY=100ms", "TIDEMARK_SSE_HEARTBEAT=1s", "TIDEMARK_SSE_DRAIN_PERIOD=2s",
			fmt.Sprint("TIDEMARK_WINDOW_EVENTS=", []int{500, smallWindow, 65536}[i]),
		}
	}
	opts.NATSURL = func(node int, servers []*testcluster.NATSServer) string {
		var urls []string
		for _, server := range servers {
			addr := strings.TrimPrefix(server.ClientURL, "nats://")
			if node == 0 {
				link := newProxy(t, addr)
				f.links, addr = append(f.links, link), link.listener.Addr().String()
			}
			urls = append(urls, "nats://"+addr)
		}
		return strings.Join(urls, ",")
	}
	f.Topology = startTopology(t, opts)
	f.p = newProducerAt(t, f.NATSURL())
	return f
}

// connectClients connects clients through nginx and to each node, and one client that is restarted.
func (f *clusterHarness) connectClients() {
	f.t.Helper()
	join := func(name, url, user string, lives int) {
		f.clients = append(f.clients, clusterClient{follow(f.t, name, url+"/events?user="+user, lives), user})
	}
	for i := range 4 {
		join(fmt.Sprintf("client %d by HTTP", i), f.Nginx.URL, me, 0)
		join(fmt.Sprintf("client %d by HTTPS", i), f.Nginx.TLSURL, other, 0)
	}
	join("a client that is restarted", f.Nginx.URL, me, 90)
	for _, n := range f.Nodes {
		join("client of "+n.Name(), n.URL, me, 0)
	}
	for _, c := range f.clients {
		c.awaitOpen(1)
	}
}

// publishDuring publishes during a failure, and compares the events of every client. fail returns after the
// repair.
func (f *clusterHarness) publishDuring(name string, fail func(t *testing.T)) {
	f.publishBatchDuring(350, name, fail)
}

// publishBatchDuring is publishDuring with a number of events.
func (f *clusterHarness) publishBatchDuring(batch int, name string, fail func(t *testing.T)) {
	f.t.Helper()
	f.t.Run(name, func(t *testing.T) {
		first, last := f.last+1, f.last+batch
		f.last = last + 7 - last%7 // the last event is for all users
		var publishing sync.WaitGroup
		publishing.Go(func() { f.p.publish(first, last) })
		f.p.awaitStored(first + 100)
		begun := time.Now()
		fail(t)
		failed := time.Since(begun)
		publishing.Wait()
		stored := time.Since(begun)
		f.p.publish(last+1, f.last)
		for _, c := range f.clients {
			wantExactly(t, c.name, numbersOf(c.user, f.last), c.numbers)
			c.wantNoRefusal(t)
		}
		t.Logf("events %d-%d: the failure lasted %v, all were stored after %v, everybody had them after %v",
			first, f.last, failed.Round(time.Millisecond), stored.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
		awaitTopology(t, f.Topology)
		if t.Failed() {
			f.t.FailNow() // later failures would only repeat it
		}
	})
}

// isolate cuts node t1 off from NATS while a function runs: no byte passes, and no connection is reset.
func (f *clusterHarness) isolate(while func()) {
	for _, link := range f.links {
		link.shut()
	}
	while()
	for _, link := range f.links {
		link.open()
	}
}

func (f *clusterHarness) leader(t *testing.T) *testcluster.NATSServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), topologyTimeout)
	defer cancel()
	s, err := f.StreamLeader(ctx, "NOTIFICATIONS")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// consumers returns the names of consumers that have a prefix.
func (f *clusterHarness) consumers(t *testing.T, prefix string) (names []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), topologyTimeout)
	defer cancel()
	all, err := f.Consumers(ctx, "NOTIFICATIONS")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// host returns the server of a consumer; nil if the consumer no longer exists.
func (f *clusterHarness) host(t *testing.T, consumer string) *testcluster.NATSServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	host, err := f.ConsumerHost(ctx, "NOTIFICATIONS", consumer)
	if err != nil {
		return nil
	}
	t.Logf("%s is on %s", consumer, host.Name())
	return host
}

// pause suspends a server for a while; its connections stay open.
func pause(t *testing.T, s *testcluster.NATSServer, d time.Duration) {
	t.Helper()
	t.Logf("%s is paused", s.Name())
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(d)
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
}

// terminate sends SIGTERM to a process, as operators do, and waits for its end.
func terminate(t *testing.T, p *testcluster.Process) {
	t.Helper()
	if err := p.Term(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if status, err := p.Wait(ctx); err != nil || status > 0 {
		t.Fatalf("%s ended with status %d, %v", p.Name(), status, err)
	}
}

// killAndRestart sends SIGKILL to a process and starts it again.
func killAndRestart(t *testing.T, p *testcluster.Process) {
	t.Helper()
	t.Logf("%s is killed", p.Name())
	p.Kill()
	restart(t, p)
}

func restart(t *testing.T, p *testcluster.Process) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
}
