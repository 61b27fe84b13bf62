// Package examples_test builds the programs of this directory and runs them, each with a NATS server of
// its own, as their documentation says.
package examples_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/pkg/sse"
)

const waitTimeout = 2 * time.Minute

// build makes all programs at once.
var build = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "tidemark-examples-"); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./...").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, err
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, _ := build(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(status)
}

// program is an example that runs.
type program struct {
	url  string // where it serves
	nats string
	cmd  *exec.Cmd
}

// start runs a program and waits until it serves. It is interrupted at the end of the test, and has to
// exit with status 0.
func start(t *testing.T, name string) program {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	cmd := exec.CommandContext(context.Background(), filepath.Join(dir, name))
	cmd.Env = append(os.Environ(), "NATS_URL="+srv.ClientURL(), "ADDR=127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(waitTimeout, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		defer giveUp.Stop()
		if runtime.GOOS == "windows" { // which has no interrupts for other processes
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return
		}
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, &stderr)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "serving at ")
	if err != nil || !ok {
		t.Fatalf("%s said %q, %v", name, line, err)
	}
	return program{url: url, nats: srv.ClientURL(), cmd: cmd}
}

// follow opens a connection; header is name, value.
func (p program) follow(t *testing.T, query string, header ...string) *sse.Decoder {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return sse.NewDecoder(resp.Body)
}

// next returns the next event but tidemark.open.
func next(t *testing.T, d *sse.Decoder) sse.Event {
	t.Helper()
	for {
		ev, err := d.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type != "tidemark.open" {
			return ev
		}
	}
}

func (p program) post(t *testing.T, path, body string) string {
	t.Helper()
	resp, err := http.Post(p.url+path, "text/plain", strings.NewReader(body)) //nolint:noctx // it is bounded by the program's end
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %d %s, %v", path, resp.StatusCode, text, err)
	}
	return strings.TrimSpace(string(text))
}

func TestEmbed_Runs_DeliversAndResumes(t *testing.T) {
	p := start(t, "embed")
	p.post(t, "/say", "one")
	p.post(t, "/say", "two")
	one := next(t, p.follow(t, "?from=all")).Clone()
	if string(one.Data) != "one" {
		t.Errorf("received %s", one.Data)
	}
	live := p.follow(t, "", "Last-Event-ID", string(one.ID))
	if ev := next(t, live); string(ev.Data) != "two" {
		t.Errorf("resumed with %s", ev.Data)
	}
	p.post(t, "/say", "three")
	if ev := next(t, live); string(ev.Data) != "three" {
		t.Errorf("received %s", ev.Data)
	}
}

func TestEmbedEngine_Runs_DeliversToUsers(t *testing.T) {
	p := start(t, "embed-engine")
	live := p.follow(t, "", "X-User", "42")
	if ev, err := live.Next(); err != nil || ev.Type != "tidemark.open" {
		t.Fatalf("%s, %v", ev.Type, err)
	}
	p.post(t, "/notify/7", "for another")
	position := p.post(t, "/notify/42", "for 42")
	if ev := next(t, live); ev.Type != "notice" || string(ev.Data) != "for 42" || string(ev.ID) != position {
		t.Errorf("received %s %s at %s, published at %s", ev.Type, ev.Data, ev.ID, position)
	}
}

// The pages themselves run in browsers in e2e (TestExamplePages).
func TestPages_Run_ServeWhatTheyLoad(t *testing.T) {
	for name, contents := range map[string]map[string]string{
		"browser": {"/": "new EventSource('events"},
		"library": {"/": "from './client.js'", "/client.js": "connect"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, name)
			for path, want := range contents {
				if text := p.get(t, path); !strings.Contains(text, want) {
					t.Errorf("%s does not have %q: %.300s", path, want, text)
				}
			}
			nc, err := nats.Connect(p.nats)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if err := nc.Publish("example.all", []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if ev := next(t, p.follow(t, "?from=all")); string(ev.Data) != "hello" {
				t.Errorf("received %s", ev.Data)
			}
		})
	}
}

func (p program) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(p.url + path) //nolint:noctx // it is bounded by the program's end
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s, %v", path, resp.StatusCode, text, err)
	}
	return string(text)
}

// The node is a server of the test that loses the first request in the middle. e2e runs the example with a real one.
func TestLLMTokens_NodeIsLostInTheMiddle_SendsTheSameEventsAgain(t *testing.T) {
	bodies := make(chan string, 1)
	var attempts atomic.Int32
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/publish/runs.alice.7" || r.Header.Get("Content-Type") != "text/event-stream" || r.Header.Get("Idempotency-Key") != "7" {
			t.Errorf("%s %s with %v", r.Method, r.URL, r.Header)
		}
		if attempts.Add(1) == 1 {
			_, _ = io.CopyN(io.Discard, r.Body, 300)
			panic(http.ErrAbortHandler)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- string(body)
	}))
	defer node.Close()
	t.Setenv("NODE", node.URL)
	t.Setenv("PAUSE", "2ms")
	p := start(t, "llm-tokens")
	if text := p.get(t, "/"); !strings.Contains(text, node.URL+"/events?user=alice") || !strings.Contains(p.get(t, "/client.js"), "until") {
		t.Errorf("the page does not have the URL of the events: %s", text)
	}
	resp, err := http.Post(p.url+"/runs/7", "", nil) //nolint:noctx // it is bounded by the program's end
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("POST /runs/7: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	select {
	case got := <-bodies:
		if want := p.get(t, "/v1/chat/completions"); got != want || !strings.HasSuffix(got, "data: [DONE]\n\n") {
			t.Errorf("the node received %d bytes, and the model wrote %d", len(got), len(want))
		}
	case <-time.After(waitTimeout):
		t.Fatal("the node did not receive the whole answer")
	}
}
