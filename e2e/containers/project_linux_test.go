package containers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidemark/tidemark/internal/testkit"
)

// mode is the value of TIDEMARK_CONTAINERS: empty (skip), 1, or full. TestChaos in .ci/long has its own variable.
var mode = cmp.Or(os.Getenv("TIDEMARK_CONTAINERS"), os.Getenv("TIDEMARK_CHAOS_DURATION"))

const root = "../.."

func needEngine(t *testing.T) {
	t.Helper()
	if mode == "" {
		t.Skip("containers are not run without TIDEMARK_CONTAINERS=1; .ci/compose sets it, and provides an engine")
	}
}

// project is compose.yaml with its own name, ports, and network.
type project struct {
	t         *testing.T
	name, net string
	environ   []string
	http      string // http://127.0.0.1:port of nginx
	https     string
}

// newProject does not start anything. Containers that the test starts are removed at its end.
func newProject(t *testing.T) *project {
	t.Helper()
	needEngine(t)
	ports, err := testkit.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	p := &project{
		t: t, name: fmt.Sprintf("tidemark-test-%d", os.Getpid()), net: fmt.Sprintf("10.213.%d", os.Getpid()%256),
		http: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), https: fmt.Sprintf("https://127.0.0.1:%d", ports[1]),
	}
	p.environ = append(os.Environ(), "COMPOSE_PROJECT_NAME="+p.name, "COMPOSE_FILE=compose.yaml", "COMPOSE_PROGRESS=plain",
		fmt.Sprint("FRONT_HTTP_PORT=", ports[0]), fmt.Sprint("FRONT_HTTPS_PORT=", ports[1]), "FRONT_NET="+p.net, fmt.Sprint("WEBSOCKET_PORT=", ports[2]),
		fmt.Sprint("NOFILE=", openFiles(t)))
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := p.run(time.Minute, "docker", "compose", "logs", "--tail", "40", "--no-color")
			t.Log(logs)
		}
		if out, err := p.run(2*time.Minute, "docker", "compose", "--profile", "*", "down", "-v", "-t", "1"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	return p
}

// openFiles returns the limit of open files of a container: that of compose.yaml, or that of this process if it is
// lower.
func openFiles(t *testing.T) uint64 {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return min(limit.Max, 131072)
}

func (p *project) run(within time.Duration, name string, args ...string) (output string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = root, p.environ
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// docker runs a docker command, and fails the test if the command fails.
func (p *project) docker(args ...string) (output string) {
	p.t.Helper()
	out, err := p.run(5*time.Minute, "docker", args...)
	if err != nil {
		p.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func (p *project) compose(args ...string) (output string) {
	p.t.Helper()
	return p.docker(append([]string{"compose"}, args...)...)
}

// containers returns the ids of the running containers of a service.
func (p *project) containers(service string) []string {
	p.t.Helper()
	return strings.Fields(p.compose("ps", "-q", service))
}

// container is a part of the output of `docker inspect`.
type container struct {
	State struct {
		Status    string
		ExitCode  int
		OOMKilled bool
		Pid       int
	}
	RestartCount    int
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

func (p *project) inspect(id string) (c container) {
	p.t.Helper()
	var found []container
	if err := json.Unmarshal([]byte(p.docker("inspect", id)), &found); err != nil || len(found) != 1 {
		p.t.Fatalf("docker inspect %s: %v", id, err)
	}
	return found[0]
}
