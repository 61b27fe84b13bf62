//go:build linux

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tidemark/tidemark/internal/engine"
)

// Without a limit, or with one that is too high, idle sockets make room where the process has no
// descriptor left. The server is a process of its own, for the sake of its limit.
func TestSockets_NoDescriptorLeft_ClosesIdle(t *testing.T) {
	for _, listener := range []string{"engine", "net/http"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSocketsOfFewFiles$", "-test.v")
		cmd.Env = append(os.Environ(), "FEW_FILES_LISTENER="+listener)
		stdin, _ := cmd.StdinPipe()
		stdout, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := &socketRig{t: t}
		for said := bufio.NewScanner(stdout); r.addr == "" && said.Scan(); {
			if addr, ok := strings.CutPrefix(said.Text(), "addr "); ok {
				r.addr = addr
			}
		}
		for range 80 {
			r.want(r.from("127.0.0.1"), "/", "page") // and is left idle
		}
		_ = stdin.Close() // ends it
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	}
}

// TestSocketsOfFewFiles is the server of TestSockets_NoDescriptorLeft_ClosesIdle.
func TestSocketsOfFewFiles(t *testing.T) {
	listener := os.Getenv("FEW_FILES_LISTENER")
	if listener == "" {
		t.Skip("run by TestSockets_NoDescriptorLeft_ClosesIdle")
	}
	r := newSocketRig(t, listener, engine.SocketOptions{})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 60, Max: 60}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("addr", r.addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
