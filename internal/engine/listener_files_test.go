//go:build linux

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A server without free descriptors waits with a few goroutines. It accepts again as soon as descriptors
// are free. The server is a separate process because of its limit.
func TestNoDescriptorLeft(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerOfFewFiles$", "-test.v")
	cmd.Env = append(os.Environ(), "FEW_FILES=1")
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(stdout)
	hear := func(what string) (value string) {
		t.Helper()
		for said.Scan() {
			if value, ok := strings.CutPrefix(said.Text(), what+" "); ok {
				return value
			}
		}
		t.Fatalf("the server ended before it told of %s", what)
		return ""
	}
	defer func() { _ = cmd.Wait() }()
	defer stdin.Close() // ends the server
	addr := hear("addr")
	var conns []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, get("/stream"))
		conns = append(conns, c)
	}
	time.Sleep(300 * time.Millisecond) // accept fails repeatedly during this time
	fmt.Fprintln(stdin, "count")
	var goroutines int
	if _, err := fmt.Sscan(hear("goroutines"), &goroutines); err != nil || goroutines > 150 {
		t.Errorf("%d goroutines, error %v", goroutines, err)
	}
	for _, c := range conns {
		c.Close()
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	_, _ = io.WriteString(c, get("/stream"))
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("with files again: %v", err)
	}
}

// TestServerOfFewFiles is the server of TestNoDescriptorLeft.
func TestServerOfFewFiles(t *testing.T) {
	if os.Getenv("FEW_FILES") == "" {
		t.Skip("run by TestNoDescriptorLeft")
	}
	r := newListenerHarness(t, "127.0.0.1:0")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 60, Max: 60}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("addr", r.addr)
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		fmt.Println("goroutines", runtime.NumGoroutine())
	}
}
