package e2e_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsd"
)

// TestExamplePages_ProgramIsKilledAndStarted_ShowEveryEventOnce opens the pages of examples in Chromium,
// and kills the programs that embed a feed under them. That these run is tested in examples.
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

func testExamplePage(t *testing.T, b *browser, name string) {
	dir, addr := t.TempDir(), freeAddr(t)
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
	said := output(t, filepath.Join(dir, "log"))
	run := func() *process {
		cmd := exec.CommandContext(t.Context(), built)
		cmd.Env = []string{"NATS_URL=" + srv.ClientURL(), "ADDR=" + addr}
		p := start(t, cmd, said, said)
		eventually(t, name+" serves", func() bool { return accepts(addr) })
		return p
	}
	program := run()
	nc, err := nats.Connect(srv.ClientURL())
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
	page := b.open(t, "http://"+addr+"/")
	shows := func() bool {
		return slices.Equal(eval[[]string](page, "[...document.querySelectorAll('#events li')].map(li => li.textContent)"), want)
	}
	eventually(t, "the page shows the first event", shows)
	for round := range 3 {
		program.kill()
		say()
		program = run()
		say()
		eventually(t, fmt.Sprintf("the page shows %v in round %d", want, round), shows)
	}
}

// accepts reports whether a program listens on an address.
func accepts(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}
