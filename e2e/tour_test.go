package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// TestTour runs the lines of the tour of the README: those of the sh blocks below a comment `<!-- tour -->`. The
// service has its own ports, and the command is already built; all else is as written.
func TestTour(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl was found: the tour is not tried")
	}
	lines := tourLines(t, "../README.md")
	s := serve(t)
	tour := &tour{t: t, service: s, producer: newProducer(t, s), dir: t.TempDir()}
	for _, line := range lines {
		before := tour.stored()
		out := tour.run(line)
		t.Logf("%s\n%s", line, out)
		if got := tour.stored() - before; publishes(line) != (got == 1) {
			t.Errorf("%s: stored %d events", line, got)
		}
		tour.check(line, out)
	}
}

// tour is a terminal that runs the lines of the README.
type tour struct {
	t        *testing.T
	service  *service
	producer *producer
	dir      string
}

// tourLines returns the commands of the marked blocks, with continued lines joined.
func tourLines(t *testing.T, readme string) (lines []string) {
	t.Helper()
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Skipf("there is no tour: %v", err)
	}
	for _, block := range strings.Split(string(content), "<!-- tour -->\n```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		t.Error("the README has no block behind <!-- tour -->")
	}
	return lines
}

func publishes(line string) bool {
	return strings.HasPrefix(line, "nats pub") || strings.Contains(line, "tidemark publish") || strings.Contains(line, "curl") && strings.Contains(line, " -d ")
}

// run runs a line. Without a nats command, a shell function reports its arguments, and the test publishes the
// event.
func (r *tour) run(line string) (output string) {
	r.t.Helper()
	script := r.translate(line)
	handedOver := filepath.Join(r.dir, "nats.arguments")
	if _, err := exec.LookPath("nats"); err != nil {
		script = `nats() { printf '%s\0' "$@" >nats.arguments; }; ` + script
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir = r.dir
	cmd.Env = append(testcluster.Environment(), "NATS_URL=nats://"+r.service.natsAddr, "TIDEMARK_NATS_EMBEDDED_ADDR="+r.service.natsAddr)
	testcluster.Bind(cmd)
	out, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != 0 && (status != curlTimeout || !strings.Contains(line, " -m ")) {
		r.t.Errorf("%s: %v\n%s", line, err, out)
	}
	if arguments, err := os.ReadFile(handedOver); err == nil {
		_ = os.Remove(handedOver)
		r.publish(strings.Split(strings.TrimSuffix(string(arguments), "\x00"), "\x00"))
	}
	return string(out)
}

// withLongerTimeout gives curl -m more seconds than the documents do, for a loaded machine.
func withLongerTimeout(line string) string { return strings.ReplaceAll(line, " -m 2 ", " -m 5 ") }

// curlTimeout is the exit status of curl after -m.
const curlTimeout = 28

// translate replaces the default addresses and the command with those of the test.
func (r *tour) translate(line string) string {
	line = withLongerTimeout(strings.ReplaceAll(line, "127.0.0.1:8080", r.service.httpAddr))
	line = strings.ReplaceAll(line, "go run ./cmd/tidemark subscribe", "go run ./cmd/tidemark subscribe "+r.service.url("/events"))
	return strings.ReplaceAll(line, "go run ./cmd/tidemark", command(r.t))
}

// publish replaces `nats pub SUBJECT DATA -H Name:value`.
func (r *tour) publish(args []string) {
	r.t.Helper()
	if len(args) < 3 || args[0] != "pub" {
		r.t.Fatalf("the test does not know nats %q", args)
	}
	msg := nats.NewMsg(args[1])
	msg.Data = []byte(args[2])
	for i := 3; i+1 < len(args) && args[i] == "-H"; i += 2 {
		name, value, _ := strings.Cut(args[i+1], ":")
		msg.Header.Set(name, strings.TrimSpace(value))
	}
	if _, err := r.producer.js.PublishMsg(r.t.Context(), msg); err != nil {
		r.t.Fatal(err)
	}
}

func (r *tour) stored() int {
	r.t.Helper()
	stream, err := r.producer.js.Stream(r.t.Context(), "NOTIFICATIONS")
	if err != nil {
		r.t.Fatal(err)
	}
	return int(stream.CachedInfo().State.Msgs)
}

// check compares the output of lines that connect with the text of the README.
func (r *tour) check(line, output string) {
	r.t.Helper()
	var count, after int
	switch {
	case scanAfter(line, "--count ", &count):
		if got := bytes.Count([]byte(output), []byte("\n")) - strings.Count(output, "-- "); got != count {
			r.t.Errorf("%s: printed %d events\n%s", line, got, output)
		}
	case scanAfter(line, "Last-Event-ID: ", &after):
		for seq := 1; seq <= r.stored(); seq++ {
			if got := strings.Contains(output, fmt.Sprintf("\nid: %d-", seq)); got != (seq >= after) {
				r.t.Errorf("%s: whether event %d came: %v\n%s", line, seq, got, output)
			}
		}
	}
}

// scanAfter reads the number after a text.
func scanAfter(line, text string, n *int) bool {
	_, rest, found := strings.Cut(line, text)
	_, err := fmt.Sscanf(rest, "%d", n)
	return found && err == nil
}
