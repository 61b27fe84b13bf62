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

// subscriber is `tidemark subscribe`, which prints to one file and keeps its position in another, over restarts.
type subscriber struct {
	*process
	t     *testing.T
	line  []string // the whole command line
	lines *os.File
	dir   string
}

// subscribe starts it and waits until it is connected.
func subscribe(t *testing.T, url string) *subscriber {
	t.Helper()
	return subscribeBy(t, nil, url, "--user=42")
}

// subscribeBy runs it through another command, such as ip netns exec.
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

// printed returns the complete lines so far.
func (s *subscriber) printed() (lines []printed) {
	s.t.Helper()
	content, err := os.ReadFile(s.lines.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // the command is writing it
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

// size returns the number of printed bytes.
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

// mend removes an incomplete last line, and returns the number of removed lines.
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

// TestSubscribe_Killed_ResumesFromItsStateFile ends `tidemark subscribe` by SIGKILL and by SIGTERM while events arrive, and restarts it
// with the same state file.
//
// The command prints an event, and then saves its position. After a SIGKILL in between, it prints the event once
// more: at most one event, at a restart. SIGTERM and Ctrl-C let both happen, and nothing is repeated. No event is
// ever missing. The command writes each line at once; a SIGKILL can split it only between two pages.
func TestSubscribe_Killed_ResumesFromItsStateFile(t *testing.T) {
	t.Parallel()
	const backlog, total, lives = 7000, 7350, 16
	s := serve(t)
	p := newProducer(t, s)
	p.fill(backlog) // without pauses, so that SIGKILL comes while it prints
	sub := subscribe(t, s.url("/events?from=all"))
	finished := make(chan struct{})
	go func() { defer close(finished); p.publish(backlog+1, total) }()
	defer func() { <-finished }()

	torn := 0
	restarts := map[int]bool{} // by the count of numbers at the restart; true after SIGKILL
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
		restarts[at] = restarts[at] || !gentle // a run may have printed no event
		sub.start()
	}
	if torn > 1 { // of eleven; about one kill in some hundred splits a line in the kernel
		t.Errorf("%d lines were torn", torn)
	}
	eventually(t, "the last event", func() bool { n := sub.numbers(); return n[len(n)-1] == total })
	repeats := checkRestarts(t, sub.numbers(), numbersOf(me, total), restarts)
	if gaps := sub.count("gap"); gaps > 0 {
		t.Errorf("%d gaps", gaps)
	}
	t.Logf("%d events over %d lives, %d printed again after a SIGKILL", len(sub.numbers()), lives, repeats)
}

// checkRestarts compares the printed numbers with the expected ones; after a SIGKILL the number before the restart
// may be repeated.
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
