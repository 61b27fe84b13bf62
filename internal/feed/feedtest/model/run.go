package model

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// Environment variables of a run.
const (
	envSeed      = "TIDEMARK_MODEL_SEED"      // the first seed; 1 when not set, with a duration the time
	envHistories = "TIDEMARK_MODEL_HISTORIES" // how many, with a seed each
	envDuration  = "TIDEMARK_MODEL_DURATION"  // instead: as many as fit, such as 2h
	envFailures  = "TIDEMARK_MODEL_FAILURES"  // end the run after so many; 3 when not set
)

// Run plays histories on a kind of store and fails t for each broken promise. It logs
// for each failure a command that reproduces it, and the shortest history that it found.
func Run(t *testing.T, kind Kind) {
	r := &run{t: t, kind: kind, gaps: map[feed.Reason]int{}}
	r.configure()
	var workers sync.WaitGroup
	for range max(kind.Parallel, 1) {
		workers.Go(r.work)
	}
	workers.Wait()
	t.Logf("%d histories from seed %d: %d connections, %d of them complete, %d events delivered, gaps %v, failures %v", r.played, r.first, r.connections, r.complete, r.delivered, r.gaps, r.broken)
}

type run struct {
	t    *testing.T
	kind Kind

	mu          sync.Mutex
	first, next uint64
	left        int
	until       time.Time
	failures    int
	maxFailures int
	broken      map[string]int // failures by promise

	played, connections, complete, delivered int
	gaps                                     map[feed.Reason]int
}

func (r *run) configure() {
	r.first, r.left, r.maxFailures, r.broken = 1, r.kind.Histories, 3, map[string]int{}
	if testing.Short() {
		r.left = max(r.left/10, 1)
	}
	if text := os.Getenv(envSeed); text != "" {
		r.first = r.number(envSeed, text)
	}
	if text := os.Getenv(envHistories); text != "" {
		r.left = int(r.number(envHistories, text)) //nolint:gosec // as many as the user wants
	}
	if text := os.Getenv(envFailures); text != "" {
		r.maxFailures = int(r.number(envFailures, text)) //nolint:gosec // as many as the user wants
	}
	if text := os.Getenv(envDuration); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			r.t.Fatalf("%s: %v", envDuration, err)
		}
		r.until, r.left = time.Now().Add(d), math.MaxInt
		if os.Getenv(envSeed) == "" {
			r.first = uint64(time.Now().Unix()) << 20 //nolint:gosec // after 1970
		}
	}
	r.next = r.first
}

func (r *run) number(name, text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		r.t.Fatalf("%s=%q: must be a number", name, text)
	}
	return n
}

// draw returns the next seed, and false when there have been enough.
func (r *run) draw() (seed uint64, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left <= 0 || r.failures >= r.maxFailures || !r.until.IsZero() && time.Now().After(r.until) {
		return 0, false
	}
	r.left--
	seed = r.next
	r.next++
	return seed, true
}

func (r *run) work() {
	for {
		seed, more := r.draw()
		if !more {
			return
		}
		p := newProfile(seed)
		if r.kind.Limit != nil {
			r.kind.Limit(&p)
		}
		ops := p.operations()
		w := r.play(p, ops)
		if w == nil { // the store has failed the test
			return
		}
		r.count(w)
		if len(w.violations) > 0 {
			r.fail(w, ops)
		}
	}
}

func (r *run) play(p Profile, ops []op) (w *world) {
	if r.kind.Bubble == nil {
		r.t.Run(fmt.Sprint("seed ", p.Seed), func(t *testing.T) { w = play(t, r.kind, p, ops) })
		return w
	}
	r.kind.Bubble(r.t, func(t *testing.T) { w = play(t, r.kind, p, ops) })
	return w
}

func (r *run) count(w *world) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.played++
	r.connections += w.opened
	r.complete += w.complete
	r.delivered += w.delivered
	for why, n := range w.gaps {
		r.gaps[why] += n
	}
}

func (r *run) fail(w *world, ops []op) {
	known := r.known(promise(w.violations[0]))
	if known {
		r.t.Errorf("seed %d: %s", w.p.Seed, w.violations[0])
		return
	}
	if r.kind.Bubble != nil {
		w, ops = r.reduce(w, ops)
	}
	r.t.Errorf("seed %d: %s\nto reproduce: %s=%d %s=1 %s\nthe history, in %d operations (operation, tick of the record):\n%s", w.p.Seed, w.violations[0],
		envSeed, w.p.Seed, envHistories, r.kind.Command, len(ops), strings.Join(w.trace, "\n"))
}

// known counts a failure, and reports whether there was one of its kind before: the history is
// not printed again.
func (r *run) known(promise string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures++
	r.broken[promise]++
	return r.broken[promise] > 1
}

// reduce leaves out operations as long as the history still breaks the same promise.
func (r *run) reduce(w *world, ops []op) (*world, []op) {
	what := promise(w.violations[0])
	for size := len(ops) / 2; size > 0; {
		shorter := false
		for from := 0; from+size <= len(ops); {
			fewer := slices.Concat(ops[:from], ops[from+size:])
			if tried := r.play(w.p, fewer); len(tried.violations) > 0 && promise(tried.violations[0]) == what {
				w, ops, shorter = tried, fewer, true
			} else {
				from += size
			}
		}
		if size > 1 {
			size /= 2
		} else if !shorter {
			size = 0
		}
	}
	return w, ops
}

// promise is a violation without its numbers. Two histories with the same promise count as the same
// failure.
func promise(violation string) string {
	text := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, violation)
	text, _, _ = strings.Cut(text, "; gaps")
	for _, cut := range []string{" requests ", " continues ", " is removed", ": requested"} {
		text, _, _ = strings.Cut(text, cut)
	}
	return fmt.Sprintf("%.70s", text)
}
