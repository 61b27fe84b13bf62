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

// If there is no limit, or the limit is too high, idle sockets are closed when the process has no free
// descriptors. The server is a separate process because of its limit.
func TestSockets_NoDescriptorLeft_ClosesIdle(t *testing.T) {
	for _, listener := range []string{"engine", "net/http"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSocketsOfFewFiles$", "-test.v")
		cmd.Env = append(os.Environ(), "FEW_FILES_LISTENER="+listener)
		stdin, _ := cmd.StdinPipe()
		stdout, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := &socketHarness{t: t}
		for said := bufio.NewScanner(stdout); r.addr == "" && said.Scan(); {
			if addr, ok := strings.CutPrefix(said.Text(), "addr "); ok {
				r.addr = addr
			}
		}
		for range 80 {
			r.want(r.from("127.0.0.1"), "/", "page") // leaves an idle socket
		}
		_ = stdin.Close() // ends the server
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
	r := newSocketHarness(t, listener, engine.SocketOptions{})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 60, Max: 60}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("addr", r.addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
