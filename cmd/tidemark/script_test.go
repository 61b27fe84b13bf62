package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tidemark/tidemark/internal/testkit"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tidemark": main})
}

// TestScripts_Commands_BehaveAsScripted runs the commands of testdata/script. Scripts that need a server start
// `tidemark serve` with its embedded NATS server.
func TestScripts_Commands_BehaveAsScripted(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Deadline: time.Now().Add(8 * time.Minute),
		Setup: freshPorts,
		Cmds:  scriptCommands,
	})
}

var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"await": await, "await-text": awaitText, "exits": exits, "screen": screen, "columns": columns,
}

// freshPorts gives each script addresses of its own, in the variables that configure them.
func freshPorts(env *testscript.Env) error {
	for _, key := range []string{"TIDEMARK_HTTP_ADDR", "TIDEMARK_NATS_EMBEDDED_ADDR", "OPERATORS", "THIRD", "FOURTH"} {
		addr, err := testkit.FreeAddr()
		if err != nil {
			return err
		}
		env.Setenv(key, addr)
	}
	env.Setenv("EVENTS", "http://"+env.Getenv("TIDEMARK_HTTP_ADDR")+"/events")
	env.Setenv("TIDEMARK_NATS_EMBEDDED_DIR", env.WorkDir+"/data")
	env.Setenv("TIDEMARK_ADMIN_ADDR", "off") // scripts run side by side
	env.Setenv("TIDEMARK_SSE_RETRY", "100ms")
	env.Setenv("TIDEMARK_HTTP_DRAIN_DELAY", "0s") // no load balancer waits for it
	env.Setenv("TWO_LINES", "two\nlines")
	return nil
}

// await blocks until the server of the script is ready, or until a file is there.
func await(ts *testscript.TestScript, _ bool, args []string) {
	what, there := "the server", func() bool { return ready(ts.Getenv("TIDEMARK_HTTP_ADDR")) }
	if len(args) > 0 {
		what = args[0]
		there = func() bool { _, err := os.Stat(ts.MkAbs(what)); return err == nil }
	}
	for range 2400 {
		if there() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s never came", what)
}

func ready(addr string) bool {
	resp, err := http.Get("http://" + addr + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// exits runs a command that must end with a status: exits 2 tidemark nosuch.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	status := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		status = exit.ExitCode()
	}
	if fmt.Sprint(status) != args[0] {
		ts.Fatalf("the status is %d, want %s", status, args[0])
	}
}

func TestStatus_Errors_HaveTheirExitStatus(t *testing.T) {
	for want, err := range map[int]error{0: nil, 1: fmt.Errorf("failed"), 2: usageError{fmt.Errorf("typed wrongly")}} {
		if got := status(io.Discard, err); got != want {
			t.Errorf("%v: status %d, want %d", err, got, want)
		}
	}
}

func TestReachable_ListenAddress_ReturnsDialAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:4222": "127.0.0.1:4222",
		":4222":          "127.0.0.1:4222",
		"0.0.0.0:4222":   "127.0.0.1:4222",
		"[::]:4222":      "127.0.0.1:4222",
		"[::1]:4222":     "[::1]:4222",
		"nats.local:1":   "nats.local:1",
		"127.0.0.1:0":    "",
		"nonsense":       "",
	} {
		if got, err := reachable(addr); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is reached at %q, %v; want %q", addr, got, err, want)
		}
	}
}
