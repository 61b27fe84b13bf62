//go:build unix

package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// TestClusterCommand runs the command of `go run ./cmd/tidemark-cluster`: it restarts processes that end, and none
// of them outlives the command, also when the command is killed.
func TestClusterCommand(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends processes with their parent")
	}
	bin := filepath.Join(t.TempDir(), "cluster")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/tidemark-cluster")
	build.Dir = ".." // the module of the command
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, end := range map[string]func(*process){
		"Ctrl-C": func(p *process) {
			p.signal(os.Interrupt)
			if status := p.wait(); status != 0 {
				t.Errorf("after Ctrl-C it ended with status %d", status)
			}
		},
		"SIGKILL": (*process).kill,
	} {
		t.Run(name, func(t *testing.T) { testClusterCommand(t, bin, end) })
	}
}

var (
	nodeLine   = regexp.MustCompile(`(?m)^t1 +(\d+) `)
	anyAddress = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

func testClusterCommand(t *testing.T, bin string, end func(*process)) {
	args := []string{"--dir", t.TempDir(), "--nats", "2", "--nodes", "1", "--pause", "10ms"}
	for _, flag := range []string{"node-port", "nats-port", "monitor-port", "cluster-port", "http", "https"} {
		args = append(args, "--"+flag, "0")
	}
	if _, err := testcluster.LookNginx(); err != nil {
		args = append(args, "--no-nginx")
	}
	out := output(t, filepath.Join(t.TempDir(), "output"))
	p := start(t, exec.Command(bin, args...), out, out)
	printed := func() string {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	eventually(t, "what to try", func() bool { return strings.Contains(printed(), "curl -N") })
	node, err := strconv.Atoi(nodeLine.FindStringSubmatch(printed())[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(node, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node runs again", func() bool { return strings.Contains(printed(), "t1 runs again") })

	end(p)
	for _, addr := range anyAddress.FindAllString(printed(), -1) {
		eventually(t, "nothing listens on "+addr, func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
	}
}
