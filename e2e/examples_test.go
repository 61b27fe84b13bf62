package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testcluster"
)

// TestExamplePages_ProgramIsKilledAndStarted_ShowEveryEventOnce opens the pages of examples in Chromium, and kills
// their programs. The tests of examples run the programs themselves.
func TestExamplePages_ProgramIsKilledAndStarted_ShowEveryEventOnce(t *testing.T) {
	t.Parallel()
	chromium, missing := newChromium(t)
	if chromium == nil {
		t.Skip(missing)
	}
	chromium.engine = chromiumEngine
	for _, name := range []string{"browser", "library"} {
		t.Run(name, func(t *testing.T) { testExamplePage(t, chromium, name) })
	}
}

// exampleProgram is a program of examples, with its own NATS server.
type exampleProgram struct {
	t           *testing.T
	name, built string
	addr, nats  string
	log         *os.File
}

func newExampleProgram(t *testing.T, name string) *exampleProgram {
	t.Helper()
	dir := t.TempDir()
	built := filepath.Join(dir, name)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", built, "./examples/"+name)
	build.Dir = ".."
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: filepath.Join(dir, "nats"), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	return &exampleProgram{t, name, built, freeAddr(t), srv.ClientURL(), output(t, filepath.Join(dir, "log"))}
}

// run starts the program, and waits until it serves.
func (e *exampleProgram) run() *process {
	e.t.Helper()
	cmd := exec.CommandContext(e.t.Context(), e.built)
	cmd.Env = []string{"NATS_URL=" + e.nats, "ADDR=" + e.addr}
	p := start(e.t, cmd, e.log, e.log)
	eventually(e.t, e.name+" serves", func() bool { return accepts(e.addr) })
	return p
}

// list returns the lines that a page of examples shows.
func list(page *tab) []string {
	return eval[[]string](page, "[...document.querySelectorAll('#events li')].map(li => li.textContent)")
}

func testExamplePage(t *testing.T, b *browser, name string) {
	example := newExampleProgram(t, name)
	program := example.run()
	nc, err := nats.Connect(example.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var want []string
	say := func() {
		want = append(want, strconv.Itoa(len(want)+1))
		if err := nc.Publish("example.all", []byte(want[len(want)-1])); err != nil {
			t.Fatal(err)
		}
	}
	say()
	page := b.open(t, "http://"+example.addr+"/")
	shows := func() bool { return slices.Equal(list(page), want) }
	eventually(t, "the page shows the first event", shows)
	for round := range 3 {
		program.kill()
		say()
		program = example.run()
		say()
		eventually(t, fmt.Sprintf("the page shows %v in round %d", want, round), shows)
	}
}

// TestExampleGatewayAuth_UserLogsIn_PageShowsTheirMessages opens the page of the example in Chromium, behind nginx with the
// example's file.
func TestExampleGatewayAuth_UserLogsIn_PageShowsTheirMessages(t *testing.T) {
	t.Parallel()
	nginx, err := testcluster.LookNginx()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	b := newBrowser(t)
	example := newExampleProgram(t, "gateway-auth")
	example.run()
	addr, dir := freeAddr(t), t.TempDir()
	file := renderAt(t, filepath.Join(repository(t), "examples/gateway-auth/nginx.conf"), map[string]string{
		"listen 127.0.0.1:8091;": "listen " + addr + ";", "http://127.0.0.1:8090": "http://" + example.addr,
	})
	gateway := startGroup(t, exec.Command(nginx, "-p", dir, "-c", file), output(t, filepath.Join(dir, "log")))
	eventually(t, "nginx accepts connections", func() bool {
		if gateway.ended() {
			t.Fatal("nginx has ended")
		}
		return accepts(addr)
	})

	page := b.open(t, "http://"+addr+"/")
	state := func() string { return eval[string](page, "document.querySelector('#state').textContent") }
	eventually(t, "the page without a session is closed", func() bool { return state() == "closed: log in" })
	send := func(path, form string) {
		t.Helper()
		eval[bool](page, fmt.Sprintf("window.sent = false, fetch('%s', { method: 'POST', body: new URLSearchParams(%s) }).then(() => { window.sent = true }), true", path, form))
		eventually(t, path+" is answered", func() bool { return eval[bool](page, "window.sent") })
	}
	send("login", "{ user: 'alice' }")
	page.reload()
	eventually(t, "the page with a session is open", func() bool { return state() == "open" })
	for _, to := range []string{"bob", "alice"} {
		eval[bool](page, fmt.Sprintf("document.querySelector('#send').user.value = '%s', document.querySelector('#send').data.value = 'for %[1]s', document.querySelector('#send').requestSubmit(), true", to))
	}
	eventually(t, "the page shows the message", func() bool { return slices.Equal(list(page), []string{"for alice"}) })
	send("logout", "{}")
	eventually(t, "the page is no longer open", func() bool { return state() != "open" })
}

// accepts reports whether a program listens on an address.
func accepts(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}
