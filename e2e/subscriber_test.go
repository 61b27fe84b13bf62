package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// subscriber is `tidemark subscribe`, which prints to a file and keeps its position in
// another, through any number of lives.
type subscriber struct {
	*process
	t     *testing.T
	line  []string // the whole command line
	lines *os.File
	dir   string
}

// subscribe begins the first life and waits until it is connected.
func subscribe(t *testing.T, url string) *subscriber {
	t.Helper()
	return subscribeBy(t, nil, url, "--user=42")
}

// subscribeBy does so through a command that runs the one behind it.
func subscribeBy(t *testing.T, through []string, url string, flags ...string) *subscriber {
	t.Helper()
	dir := t.TempDir()
	s := &subscriber{t: t, dir: dir, lines: output(t, filepath.Join(dir, "events.jsonl"))}
	s.line = slices.Concat(through, []string{command(t), "subscribe", url,
		"--json", "--state", filepath.Join(dir, "position"), "--max-backoff=500ms"}, flags)
	s.start()
	s.awaitOpen(1)
	return s
}

func (s *subscriber) start() {
	s.t.Helper()
	s.process = start(s.t, exec.Command(s.line[0], s.line[1:]...), s.lines, s.lines)
}

// printed is a line of its output.
type printed struct {
	Kind  string          `json:"kind"`
	Data  json.RawMessage `json:"data"`
	Error string          `json:"error"`
}

// printed returns the whole lines so far.
func (s *subscriber) printed() (lines []printed) {
	s.t.Helper()
	content, err := os.ReadFile(s.lines.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var p printed
		if err := json.Unmarshal(line, &p); err != nil {
			s.t.Fatalf("printed %q: %v", line, err)
		}
		lines = append(lines, p)
	}
	return lines
}

func (s *subscriber) count(kind string) (n int) {
	s.t.Helper()
	for _, line := range s.printed() {
		if line.Kind == kind {
			n++
		}
	}
	return n
}

func (s *subscriber) numbers() (numbers []int) {
	s.t.Helper()
	for _, line := range s.printed() {
		if line.Kind == "event" {
			numbers = append(numbers, number(strings.Trim(string(line.Data), `"`)))
		}
	}
	return numbers
}

// size is how much it has printed, in bytes.
func (s *subscriber) size() int64 {
	s.t.Helper()
	info, err := s.lines.Stat()
	if err != nil {
		s.t.Fatal(err)
	}
	return info.Size()
}

func (s *subscriber) awaitOpen(connections int) {
	s.t.Helper()
	eventually(s.t, "tidemark subscribe connects", func() bool { return s.count("open") >= connections })
}

// mend takes a line away that was not written whole, and returns how many that are.
func (s *subscriber) mend() (torn int) {
	s.t.Helper()
	content, err := os.ReadFile(s.lines.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	whole := bytes.LastIndexByte(content, '\n') + 1
	if whole == len(content) {
		return 0
	}
	s.t.Logf("torn: %q", content[whole:])
	if err := s.lines.Truncate(int64(whole)); err != nil {
		s.t.Fatal(err)
	}
	return 1
}

// TestSubscribeIsKilled ends `tidemark subscribe` in both ways while events arrive, and runs
// it again with the same state file.
//
// An event is printed, and then its position is saved. SIGKILL between the two leaves it
// printed and not saved, so it is printed once more: at most one event, at the seam alone.
// SIGTERM and Ctrl-C let both happen, and repeat nothing. Nothing is ever missing, and no
// line is torn by the command: each is one write, which a SIGKILL can end between two pages.
func TestSubscribeIsKilled(t *testing.T) {
	t.Parallel()
	const backlog, total, lives = 7000, 7350, 16
	s := serve(t)
	p := newProducer(t, s)
	p.fill(backlog) // one after the other without a pause, so that SIGKILL finds it at work
	sub := subscribe(t, s.url("/events?from=all"))
	finished := make(chan struct{})
	go func() { defer close(finished); p.publish(backlog+1, total) }()
	defer func() { <-finished }()

	torn := 0
	restarts := map[int]bool{} // how many numbers there were at the end of a life; true for SIGKILL
	for life := 1; life < lives; life++ {
		had := sub.size()
		eventually(t, "an event in this life", func() bool { return sub.size() > had })
		gentle := life%4 == 0
		if gentle {
			sub.signal(syscall.SIGTERM)
			if status := sub.wait(); status != 0 {
				t.Errorf("after SIGTERM it ended with status %d", status)
			}
		}
		sub.kill()
		torn += sub.mend()
		at := len(sub.numbers())
		restarts[at] = restarts[at] || !gentle // a life may have printed no event
		sub.start()
	}
	if torn > 1 { // of eleven; one in some hundred kills is the kernel's
		t.Errorf("%d lines were torn", torn)
	}
	eventually(t, "the last event", func() bool { n := sub.numbers(); return n[len(n)-1] == total })
	repeats := checkRestarts(t, sub.numbers(), numbersOf(me, total), restarts)
	if gaps := sub.count("gap"); gaps > 0 {
		t.Errorf("%d gaps", gaps)
	}
	t.Logf("%d events over %d lives, %d printed again after a SIGKILL", len(sub.numbers()), lives, repeats)
}

// checkRestarts compares what was printed with what is wanted; a seam may repeat the number
// before it, if it is one of SIGKILL.
func checkRestarts(t *testing.T, got, want []int, restarts map[int]bool) (repeats int) {
	t.Helper()
	for i, n := range got {
		due := i - repeats
		if due < len(want) && n == want[due] {
			continue
		}
		if killed := restarts[i]; !killed || n != got[i-1] {
			t.Fatalf("at %d: %s", i, firstDifference(got[i:], want[min(due, len(want)):]))
		}
		repeats++
	}
	if len(got)-repeats != len(want) {
		t.Errorf("%d events, want %d", len(got)-repeats, len(want))
	}
	return repeats
}
