package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// testStopped suspends every process of the browsers, as a closed laptop does, while events are published and the
// service is restarted.
func (e engines) testStopped(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	groups := e.startEach(t, origin, s.url("/events?user=42"), "", nil)
	p := newProducer(t, s)
	for i := range 2 {
		first := i*28 + 1
		p.publish(first, first+13)
		for name, group := range groups {
			group.wantNumbers(name+", awake", numbersOf(me, first+13))
		}
		e.signal(t, syscall.SIGSTOP)
		s.kill()
		s.start()
		s.awaitReady()
		p.publish(first+14, first+27)
		e.signal(t, syscall.SIGCONT)
		for name, group := range groups {
			group.wantNumbers(name+", awake again", numbersOf(me, first+27))
			for _, tab := range group {
				t.Logf("%s: %s gave up %d times", tab.engine, name, eval[int](tab, "live.revived || 0"))
			}
		}
	}
}

// signal sends a signal to all processes of all engines.
func (e engines) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	for _, b := range e {
		n := 0
		for _, pid := range descendants(t, b.root) {
			if syscall.Kill(pid, sig) == nil {
				n++
			}
		}
		if n < 2 {
			t.Errorf("%s has %d processes", b.engine, n)
		}
	}
}

// descendants returns a process, its children, and theirs.
func descendants(t *testing.T, root int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		// "pid (name) state parent ...", where the name may contain any character.
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
