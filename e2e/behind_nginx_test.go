package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// TestEventSource_BehindNginxWhileNodesAreKilled_ReceivesEachEventOnce connects all engines to two nodes behind nginx. nginx answers also if no node does, so
// that no EventSource over HTTP/1.1 gives up.
func TestEventSource_BehindNginxWhileNodesAreKilled_ReceivesEachEventOnce(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	f := &proxyHarness{engines: e, origin: app(t, "")}
	f.Topology = startTopology(t, testcluster.Options{NATS: 2, Nodes: 2, Nginx: true, NodeEnv: func(int) []string {
		return []string{"TIDEMARK_HTTP_CORS_ORIGINS=" + f.origin, "TIDEMARK_SSE_RETRY=100ms", "TIDEMARK_SSE_HEARTBEAT=1s"}
	}})
	f.p = newProducerAt(t, f.NATSURL())
	t.Run("nodes lost", f.testNodesLost)
	t.Run("ten tabs", f.testTenTabs)
}

// proxyHarness is a cluster behind nginx, with the pages that are connected to it.
type proxyHarness struct {
	engines
	*testcluster.Topology
	origin string
	p      *producer
	last   int // the last published number
}

// testNodesLost connects each follower to nginx over HTTP/1.1 and over HTTP/2, and kills nodes.
func (f *proxyHarness) testNodesLost(t *testing.T) {
	// Heartbeats come each second: a silence of this length is not the load of the machine.
	calm := options{"idleTimeout": 15_000}
	groups := map[string]tabs{}
	for name, group := range f.startEach(t, f.origin, f.Nginx.URL+"/events?user=42", "", calm) {
		groups[name+" by HTTP/1.1"] = group
	}
	for name, group := range f.startEach(t, f.origin, f.Nginx.TLSURL+"/events?user=42", "", calm) {
		groups[name+" by HTTP/2"] = group
	}
	f.publishDuring(t, groups, func() {
		f.loseOne(t)
		f.loseAll(t, groups)
	})
	for name, group := range groups {
		for _, tab := range group {
			gaveUp, deaf := eval[int](tab, "live.revived || 0"), eval[int](tab, "live.deaf || 0")
			t.Logf("%s: %s gave up %d times, and was deaf %d times", tab.engine, name, gaveUp, deaf)
			if gaveUp+deaf > 0 && (tab.engine == chromiumEngine || strings.HasSuffix(name, "HTTP/1.1")) {
				t.Errorf("%s: %s gave up %d times, and was deaf %d times", tab.engine, name, gaveUp, deaf)
			}
		}
	}
}

// testTenTabs opens ten EventSources to one host, more than the six that browsers allow over HTTP/1.1. WebKitGTK
// has a window and processes for each, so it opens seven.
func (f *proxyHarness) testTenTabs(t *testing.T) {
	groups := map[string]tabs{}
	for i := range 10 {
		name := fmt.Sprint("tab ", i)
		for _, b := range f.engines {
			if b.engine != webkitEngine || i < 7 {
				groups[name] = append(groups[name], b.start(t, f.origin, f.Nginx.TLSURL+"/events?user=42", "", followers["EventSource"]))
			}
		}
	}
	f.publishDuring(t, groups, func() { f.loseAll(t, groups) })
}

// publishDuring publishes during a failure, and compares the events of every tab.
func (f *proxyHarness) publishDuring(t *testing.T, groups map[string]tabs, fail func()) {
	t.Helper()
	for _, group := range groups {
		group.awaitOpened()
	}
	before, total := f.last, f.last+350
	var publishing sync.WaitGroup
	publishing.Go(func() { f.p.publish(before+1, total-1) })
	f.p.awaitStored(before + 50)
	fail()
	publishing.Wait()
	awaitTopology(t, f.Topology)
	f.last = total + 7 - total%7 // an event for all users
	f.p.publish(total, f.last)
	for name, group := range groups {
		group.wantNumbers(name, since(before, f.last))
	}
}

// loseOne kills the nodes one by one.
func (f *proxyHarness) loseOne(t *testing.T) {
	t.Helper()
	for _, n := range f.Nodes {
		killAndRestart(t, n.Process)
		awaitTopology(t, f.Topology)
	}
}

// loseAll kills all nodes at once, until each tab has had two errors.
func (f *proxyHarness) loseAll(t *testing.T, groups map[string]tabs) {
	t.Helper()
	noticed := map[*tab]int{}
	for _, group := range groups {
		for _, tab := range group {
			noticed[tab] = eval[int](tab, "waits.length")
		}
	}
	for _, n := range f.Nodes {
		n.Kill()
	}
	for tab, before := range noticed {
		tab.await(fmt.Sprintf("waits.length > %d", before+1))
	}
	for _, n := range f.Nodes {
		restart(t, n.Process)
	}
}
