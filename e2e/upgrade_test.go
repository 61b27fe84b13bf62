package e2e_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testcluster"
)

// TestUpgrade_UnderClients_LosesNothing replaces the command of a node with an embedded NATS server by
// another version and goes back, on the same directory, while events are published. docs/operate/systemd.md has the
// steps for systemd; here the process is ended and started directly.
func TestUpgrade_UnderClients_LosesNothing(t *testing.T) {
	t.Parallel()
	versions := map[string]string{}
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		versions[v] = stamped(t, v)
	}
	s := serve(t, "--sse.heartbeat=1s")
	p := newProducer(t, s)
	clients := map[string]*follower{
		me:    follow(t, "client", s.url("/events?user=42"), 0),
		other: follow(t, "client of another user", s.url("/events?user=43"), 0),
	}
	for _, f := range clients {
		f.awaitOpen(1)
	}
	sub := subscribe(t, s.url("/events"))

	last := 0
	for _, version := range []string{"v1.0.0", "v1.1.0", "v1.0.0"} {
		first := last + 1
		last += 210 // the last is one for all
		var publishing sync.WaitGroup
		publishing.Go(func() { p.publish(first, last) })
		p.awaitStored(first + 50)
		s.signal(syscall.SIGTERM)
		if status := s.wait(); status != 0 {
			t.Errorf("the version before %s ended with status %d", version, status)
		}
		s.binary = versions[version]
		s.start()
		s.awaitReady()
		if got := s.version(); got != version {
			t.Errorf("the node runs version %q, want %q", got, version)
		}
		publishing.Wait()
		for user, f := range clients {
			f.wantExactly(numbersOf(user, last))
		}
		wantExactly(t, "tidemark subscribe", numbersOf(me, last), sub.numbers)
	}
	p.checkStored(last)
}

// version is that of the node that runs.
func (s *service) version() string {
	s.t.Helper()
	out, err := exec.Command(command(s.t), "status", "--all", "--json", "--nats.url", "nats://"+s.natsAddr).Output()
	var nodes []server.Health
	if err != nil || json.Unmarshal(out, &nodes) != nil || len(nodes) != 1 || nodes[0].Detail == nil {
		s.t.Fatalf("tidemark status: %v: %s", err, out)
	}
	return nodes[0].Version
}

// stamped builds the command with a version.
func stamped(t *testing.T, version string) string {
	t.Helper()
	root, err := testcluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "tidemark")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.stampVersion="+version, "-o", to, "./cmd/tidemark")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return to
}
