package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestOtherClients_ServiceIsKilled_ReceiveEachEventOnce runs client libraries of others through everything that they can detect, all at the same time.
// docs/reference/clients.md describes what each needs.
func TestOtherClients_ServiceIsKilled_ReceiveEachEventOnce(t *testing.T) {
	t.Parallel()
	const total, kills = 560, 2
	commands := otherClients(t)
	s := serve(t)
	cutter := newProxy(t, s.httpAddr)
	var all []*otherClient
	for _, name := range []string{"eventsource", "eventsource-client", "launchdarkly-eventsource", "event-source-polyfill", "sse.js", "reconnecting-eventsource", "react-native-sse", "r3labs/sse", "tmaxmax/go-sse"} {
		if cmd := commands(name, cutter.url("/events?user=42")); cmd != nil {
			out := output(t, filepath.Join(t.TempDir(), "numbers"))
			all = append(all, &otherClient{name, out})
			start(t, cmd, out, out)
		}
	}
	s.awaitStreams(len(all))

	p := newProducer(t, s)
	var chaos, publishing sync.WaitGroup
	over := make(chan struct{})
	chaos.Go(func() { cutOften(over, cutter, noticedCuts) })
	publishing.Go(func() { p.publish(1, total-1) })
	for i := range kills {
		p.awaitStored((i + 1) * total / (kills + 1))
		s.kill()
		s.start()
	}
	publishing.Wait()
	close(over)
	chaos.Wait()
	p.publish(total, total)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			wantExactly(t, c.name, numbersOf(me, total), c.numbers)
			t.Logf("%s: %d events; it gave up %d times", c.name, len(c.numbers()), c.ends())
		})
	}
}

// otherClient is a process that prints the numbers that it receives.
type otherClient struct {
	name string
	out  *os.File
}

func (c *otherClient) lines() []string {
	text, _ := os.ReadFile(c.out.Name())
	whole := text[:strings.LastIndexByte(string(text), '\n')+1]
	return strings.Split(string(whole), "\n")
}

func (c *otherClient) numbers() (all []int) {
	for _, line := range c.lines() {
		if n, err := strconv.Atoi(line); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func (c *otherClient) ends() (n int) {
	for _, line := range c.lines() {
		if strings.HasPrefix(line, "ended") {
			n++
		}
	}
	return n
}

// otherClients installs the libraries, in locked versions. The returned function makes the command of a library; nil for
// a library that cannot be installed here.
func otherClients(t *testing.T) func(name, url string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "client")
	hasGo := prepare(t, "thirdparty/go", "go", "build", "-o", program, ".")
	node := filepath.Join(dir, "node")
	if err := os.CopyFS(node, os.DirFS("thirdparty/node")); err != nil {
		t.Fatal(err)
	}
	hasNode := prepare(t, node, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	return func(name, url string) *exec.Cmd {
		switch ofGo := strings.Contains(name, "/"); {
		case ofGo && hasGo:
			return exec.Command(program, name, url)
		case !ofGo && hasNode:
			cmd := exec.Command("node", "follow.mjs", name, url)
			cmd.Dir = node
			return cmd
		}
		return nil
	}
}

// prepare runs a command that needs a registry. If there is none, it skips the tests that need the command; with CI=true
// the test fails.
func prepare(t *testing.T, dir, name string, args ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	said, err := cmd.CombinedOutput()
	if err == nil {
		return true
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%v: %v, and CI=true\n%s", cmd, err, said)
	}
	t.Run("without "+name, func(t *testing.T) { t.Skipf("%v: %v\n%s", cmd, err, said) })
	return false
}
