package e2e_test

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// lossyLink is a link to another network that drops packets at random, has little bandwidth, and can be
// interrupted. It needs no netem.
type lossyLink struct{ *otherNetwork }

const (
	lossPercent = 8
	linkRate    = "1mbit"
)

// newLossyLink needs nft and tc; without them the test is skipped.
func newLossyLink(t *testing.T) *lossyLink {
	t.Helper()
	for _, tool := range []string{"tc", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s was found: a lossy link is not tried", tool)
		}
	}
	return &lossyLink{newOtherNetwork(t)}
}

// dropPackets makes the link slow and lossy, in both directions.
func (l *lossyLink) dropPackets() {
	l.t.Helper()
	l.run("tc qdisc add dev " + l.here + " root tbf rate " + linkRate + " burst 4kb latency 200ms")
	in := strings.Join(l.inside(), " ")
	l.run(in + " nft add table ip loss")
	for _, hook := range []string{"input", "output"} {
		l.run(in + " nft add chain ip loss " + hook + " { type filter hook " + hook + " priority 0 ; }")
		l.run(fmt.Sprintf("%s nft add rule ip loss %s numgen random mod 100 < %d counter drop", in, hook, lossPercent))
	}
}

// TestClients_BehindALossyLink_ReceiveEachEventOnce: clients behind a link that loses every twelfth packet, carries a megabit per second, and is
// interrupted, receive everything once. The service is killed, too.
func TestClients_BehindALossyLink_ReceiveEachEventOnce(t *testing.T) {
	t.Parallel()
	const total = 2100
	link := newLossyLink(t)
	_, port, _ := net.SplitHostPort(freeAddr(t))
	s := serveAt(t, net.JoinHostPort(link.addr, port), "--sse.heartbeat=1s", "--window.events=100",
		"--auth.identity=header", "--auth.header.trusted="+link.net)
	live := subscribeBy(t, link.inside(), s.url("/events"), "--header", "X-User: "+me)
	others := subscribeBy(t, link.inside(), s.url("/events"), "--header", "X-User: "+other)
	link.dropPackets()

	p := newProducer(t, s)
	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(1, total) })
	for i, fail := range []func(){link.interrupt, s.kill, link.interrupt} {
		p.awaitStored((i + 1) * total / 4)
		fail()
		if s.ended() {
			s.start()
		}
	}
	publishing.Wait()

	wantExactly(t, "the subscriber", numbersOf(me, total), live.numbers)
	wantExactly(t, "the other subscriber", numbersOf(other, total), others.numbers)
	if gaps := live.count("gap") + others.count("gap"); gaps > 0 {
		t.Errorf("%d gaps were told", gaps)
	}
	t.Logf("%d events over %d connections, %d over %d; dropped packets:\n%s", len(live.numbers()), live.count("open"),
		len(others.numbers()), others.count("open"), link.run(strings.Join(link.inside(), " ")+" nft list table ip loss"))
}

// interrupt sets the link down: long enough that events wait, too short for a side to close its connections.
func (l *lossyLink) interrupt() {
	l.t.Helper()
	l.run("ip -n " + l.namespace + " link set far down")
	time.Sleep(1500 * time.Millisecond)
	l.run("ip -n " + l.namespace + " link set far up")
}
