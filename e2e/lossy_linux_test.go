package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// lossyLink is a cable between this machine and a network namespace that drops packets at
// random, carries little, and can be unplugged. Kernels without netem can do as much.
type lossyLink struct {
	t         *testing.T
	namespace string
	here      string // the interface on this side
	net       string // the addresses of the link
	addr      string // that of this side
}

const (
	lossPercent = 8
	linkRate    = "1mbit"
)

// newLossyLink needs root and the tools; without them the test is skipped.
func newLossyLink(t *testing.T) *lossyLink {
	t.Helper()
	for _, tool := range []string{"ip", "tc", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s was found: a lossy link is not tried", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root makes network namespaces: a lossy link is not tried")
	}
	id := rand.IntN(1 << 14)
	l := &lossyLink{t: t, namespace: fmt.Sprint("tidemark-", id), here: fmt.Sprint("tmk", id)}
	base := fmt.Sprintf("10.%d.%d.", 64+id>>8, id&0xff)
	l.net, l.addr = base+"0/30", base+"1"
	if out, err := exec.Command("ip", "netns", "add", l.namespace).CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here, a lossy link is not tried: %s", out)
	}
	t.Cleanup(func() { l.run("ip netns del " + l.namespace) }) // takes the cable with it
	l.run("ip link add " + l.here + " type veth peer name far netns " + l.namespace)
	l.run("ip addr add " + l.addr + "/30 dev " + l.here)
	l.run("ip link set " + l.here + " up")
	l.run("ip -n " + l.namespace + " addr add " + base + "2/30 dev far")
	l.run("ip -n " + l.namespace + " link set far up")
	return l
}

// inside is what runs a command at the far end.
func (l *lossyLink) inside() []string { return []string{"ip", "netns", "exec", l.namespace} }

// worsen makes the link slow and lossy, in both directions.
func (l *lossyLink) worsen() {
	l.t.Helper()
	l.run("tc qdisc add dev " + l.here + " root tbf rate " + linkRate + " burst 4kb latency 200ms")
	in := strings.Join(l.inside(), " ")
	l.run(in + " nft add table ip loss")
	for _, hook := range []string{"input", "output"} {
		l.run(in + " nft add chain ip loss " + hook + " { type filter hook " + hook + " priority 0 ; }")
		l.run(fmt.Sprintf("%s nft add rule ip loss %s numgen random mod 100 < %d counter drop", in, hook, lossPercent))
	}
}

func (l *lossyLink) run(line string) (out string) {
	l.t.Helper()
	args := strings.Fields(line)
	b, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		l.t.Errorf("%s: %v\n%s", line, err, b)
	}
	return string(b)
}

// TestLossyLink: clients behind a link that loses every twelfth packet, carries a megabit,
// and fails altogether now and then, get everything once. Meanwhile the service is killed.
func TestLossyLink(t *testing.T) {
	t.Parallel()
	const total = 2100
	link := newLossyLink(t)
	_, port, _ := net.SplitHostPort(freeAddr(t))
	s := serveAt(t, net.JoinHostPort(link.addr, port), "--sse.heartbeat=1s", "--window.events=100",
		"--auth.identity=header", "--auth.header.trusted="+link.net)
	live := subscribeBy(t, link.inside(), s.url("/events"), "--header", "X-User: "+me)
	others := subscribeBy(t, link.inside(), s.url("/events"), "--header", "X-User: "+other)
	link.worsen()

	p := newProducer(t, s)
	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(1, total) })
	for i, fail := range []func(){link.unplug, s.kill, link.unplug} {
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

// unplug takes the cable out for a while: long enough that events wait, short enough that no
// side gives its connections up.
func (l *lossyLink) unplug() {
	l.t.Helper()
	l.run("ip -n " + l.namespace + " link set far down")
	time.Sleep(1500 * time.Millisecond)
	l.run("ip -n " + l.namespace + " link set far up")
}
