package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// otherNetwork is a network namespace with a link to this machine.
type otherNetwork struct {
	t         *testing.T
	namespace string
	here      string // the interface on this side
	net       string // the prefix of the link
	addr      string // the address of this side
}

// newOtherNetwork needs root and ip; without them the test is skipped.
func newOtherNetwork(t *testing.T) *otherNetwork {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip was found: another network is not tried")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root makes network namespaces: another network is not tried")
	}
	id := rand.IntN(1 << 14)
	n := &otherNetwork{t: t, namespace: fmt.Sprint("tidemark-", id), here: fmt.Sprint("tmk", id)}
	base := fmt.Sprintf("10.%d.%d.", 64+id>>8, id&0xff)
	n.net, n.addr = base+"0/30", base+"1"
	if out, err := exec.Command("ip", "netns", "add", n.namespace).CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here, another network is not tried: %s", out)
	}
	t.Cleanup(func() { n.run("ip netns del " + n.namespace) }) // also removes the link
	n.run("ip link add " + n.here + " type veth peer name far netns " + n.namespace)
	n.run("ip addr add " + n.addr + "/30 dev " + n.here)
	n.run("ip link set " + n.here + " up")
	n.run("ip -n " + n.namespace + " addr add " + base + "2/30 dev far")
	n.run("ip -n " + n.namespace + " link set far up")
	return n
}

// inside returns the prefix of commands that run at the far end.
func (n *otherNetwork) inside() []string { return []string{"ip", "netns", "exec", n.namespace} }

func (n *otherNetwork) run(line string) (out string) {
	n.t.Helper()
	args := strings.Fields(line)
	b, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		n.t.Errorf("%s: %v\n%s", line, err, b)
	}
	return string(b)
}
