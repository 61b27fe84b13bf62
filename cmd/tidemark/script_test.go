package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tidemark": main})
}

// TestScripts types the commands of testdata/script, against a real `tidemark serve` with its
// embedded NATS server where a script starts one.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Deadline: time.Now().Add(2 * time.Minute),
		Setup: freshPorts,
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"await": await},
	})
}

// freshPorts gives each script addresses of its own, in the variables that configure them.
func freshPorts(env *testscript.Env) error {
	for _, key := range []string{"TIDEMARK_HTTP_ADDR", "TIDEMARK_NATS_EMBEDDED_ADDR"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		env.Setenv(key, l.Addr().String())
	}
	env.Setenv("EVENTS", "http://"+env.Getenv("TIDEMARK_HTTP_ADDR")+"/events")
	env.Setenv("TIDEMARK_NATS_EMBEDDED_DIR", env.WorkDir+"/data")
	env.Setenv("TIDEMARK_SSE_RETRY", "100ms")
	return nil
}

// await blocks until the server of the script is ready.
func await(ts *testscript.TestScript, _ bool, _ []string) {
	url := "http://" + ts.Getenv("TIDEMARK_HTTP_ADDR") + "/readyz"
	for range 600 {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s never became ready", url)
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünïcode 🌊\ttab":    "plain ünïcode 🌊\ttab",
		"\x1b[2Jcleared":          `\x1b[2Jcleared`,
		"bell\a and return\rover": `bell\a and return\rover`,
		"turned \u202etxt.exe":    `turned \u202etxt.exe`,
		"broken \xff byte":        `broken \ufffd byte`,
		"next line\u0085 control": `next line\u0085 control`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is printed as %q, want %q", in, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for want, err := range map[int]error{0: nil, 1: fmt.Errorf("failed"), 2: usageError{fmt.Errorf("typed wrongly")}} {
		if got := status(io.Discard, err); got != want {
			t.Errorf("%v: status %d, want %d", err, got, want)
		}
	}
}
