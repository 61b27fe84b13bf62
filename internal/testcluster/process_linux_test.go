package testcluster

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testkit"
)

// state returns the kernel's letter for the state of a process; T is stopped.
func state(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func TestProcess(t *testing.T) {
	deaths := make(chan string, 1)
	p := &Process{
		name: "sleep", path: "/bin/sleep", args: []string{"1000"}, log: filepath.Join(t.TempDir(), "log"),
		died: func(_ *Process, status string) { deaths <- status }, logger: slog.New(slog.DiscardHandler),
	}
	t.Cleanup(func() { p.close(time.Minute) })
	if p.Running() || p.PID() != 0 {
		t.Error("it runs before it was started")
	}
	run := func() {
		t.Helper()
		if err := p.Start(); err != nil || !p.Running() {
			t.Fatalf("it does not run: %v", err)
		}
	}

	run()
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, "a pause", func() bool { return state(t, p.PID()) == "T" })
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, "an end of it", func() bool { return state(t, p.PID()) == "S" })
	p.Kill()
	if p.Running() {
		t.Error("it runs after Kill")
	}

	run()
	if err := p.Term(); err != nil {
		t.Fatal(err)
	}
	if status, err := p.Wait(t.Context()); status != -1 || err != nil {
		t.Errorf("after SIGTERM: %d, %v", status, err)
	}
	if len(deaths) > 0 {
		t.Errorf("an end that was asked for counts as a death: %s", <-deaths)
	}

	run()
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status := <-deaths; !strings.Contains(status, "killed") {
		t.Errorf("it died of %s", status)
	}

	run()
	p.close(time.Minute)
	if err := p.Start(); !errors.Is(err, errStopped) {
		t.Errorf("a start after the end: %v", err)
	}
}
