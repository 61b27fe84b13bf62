package engine_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/testkit"
)

// alarm is a source with a plan of deadlines. It counts calls of Append before the deadline.
type alarm struct {
	*script
	plan   []time.Duration // from each turn to the next deadline; zero for no deadline
	due    time.Time
	early  int
	asked  chan struct{} // a token for each call of Append
	rested chan struct{} // closed at the end of the plan
}

func newAlarm(t testing.TB, plan ...time.Duration) *alarm {
	a := &alarm{plan: plan, asked: make(chan struct{}, 1000), rested: make(chan struct{})}
	a.script = newScript(t, a.ring)
	return a
}

func (a *alarm) ring(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
	if a.due.IsZero() || turn.Now.Before(a.due) {
		a.early++
	}
	a.due = time.Time{}
	if len(a.plan) > 0 {
		if a.plan[0] != 0 {
			a.due = turn.Now.Add(a.plan[0])
		}
		if a.plan = a.plan[1:]; len(a.plan) == 0 {
			close(a.rested)
		}
	}
	a.asked <- struct{}{}
	return append(dst, ".\n"...), a.due, nil
}

func await(t testing.TB, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(waitTimeout):
		t.Fatal("in vain")
	}
}

// A source is called at its deadline without a wake, and not earlier.
func TestDeadline_Passed_AppendCalled(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		const ms = time.Millisecond
		a := newAlarm(t, 30*ms, ms, 50*ms, time.Nanosecond, 20*ms, 0)
		resp := serveOne(t, setup{proto: proto}, a).get(t)
		await(t, a.rested)
		_ = resp.Body.Close()
		a.end(t)
		if a.early != 1 {
			t.Errorf("asked %d times before it was due", a.early-1)
		}
	})
}

// A wake can postpone, advance or cancel a deadline.
func TestDeadline_ChangedByWake_Applies(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		const ms = time.Millisecond
		for name, plan := range map[string][]time.Duration{
			"off":       {50 * ms, 200 * ms, 0},
			"forward":   {time.Hour, 20 * ms, 0},
			"both":      {50 * ms, 200 * ms, 100 * ms, 10 * ms, 0},
			"never":     {50 * ms, 0},
			"and again": {50 * ms, 0, 60 * ms, 0},
		} {
			a := newAlarm(t, plan...)
			resp := serveOne(t, setup{proto: proto}, a).get(t)
			wakes := 0
			for i := range plan {
				if i > 0 && (i == 1 || plan[i-1] == 0) {
					a.wake()
					wakes++
				}
				await(t, a.asked)
			}
			await(t, a.rested)
			elsewhere(t, 100*ms)
			_ = resp.Body.Close()
			a.end(t)
			if a.early > 1+wakes {
				t.Errorf("%s: %d turns before it was due, by %d wakes", name, a.early, wakes)
			}
		}
	})
}

// elsewhere waits for a time in which an unexpected call could happen.
func elsewhere(t *testing.T, d time.Duration) {
	a := newAlarm(t, d, 0)
	resp := serveOne(t, setup{proto: "http1"}, a).get(t)
	await(t, a.rested)
	_ = resp.Body.Close()
	a.end(t)
}

// With thousands of deadlines, none is lost and none is early.
func TestDeadline_Thousands_EachOnTime(t *testing.T) {
	const streams, turns = 2000, 5
	var all []*alarm
	var mu sync.Mutex
	s := newServing(t, setup{proto: "http1"}, func(*http.Request) engine.Source {
		var plan []time.Duration
		for range turns {
			plan = append(plan, 1+time.Duration(rand.Int64N(int64(300*time.Millisecond))))
		}
		a := newAlarm(t, append(plan, 0)...)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, a)
		return a
	})
	var conns []rawConn
	for range streams {
		conns = append(conns, s.raw(t, request))
	}
	for i, c := range conns {
		rawLines(t, c)
		mu.Lock()
		a := all[i]
		mu.Unlock()
		await(t, a.rested)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	for _, a := range all {
		a.end(t)
		if a.early != 1 {
			t.Errorf("asked %d times before it was due", a.early-1)
		}
	}
}

// A source with deadlines in the past does not delay the others.
func TestDeadline_InThePast_OthersNotDelayed(t *testing.T) {
	oneLoop(t)
	var served atomic.Bool
	late := newScript(t, func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
		if !served.Swap(true) {
			dst = append(dst, "0\n"...)
		}
		return dst, turn.Now.Add(-time.Hour), nil
	})
	other := newNumbers(t)
	s := newServing(t, setup{proto: "http1"}, func(r *http.Request) engine.Source {
		if r.URL.Path == "/late" {
			return late
		}
		return other
	})
	rawLines(t, s.raw(t, "GET /late HTTP/1.1\r\nHost: tidemark\r\n\r\n")).want(0)
	in := rawLines(t, s.raw(t, request))
	in.want(0)
	for i := range 100 {
		other.put(i)
		in.want(i)
	}
	s.engine.Close()
	if end := late.end(t); end.err != engine.ErrClosed {
		t.Error(end.err)
	}
}

// A deadline from before a change of the wall clock follows the monotonic clock.
func TestDeadline_WallClockSet_MonotonicApplies(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		for _, hours := range []int{-5, 5} {
			a := newAlarm(t, 50*time.Millisecond, 50*time.Millisecond, 0)
			plain := a.next
			a.next = func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
				dst, due, err := plain(dst, turn)
				if !due.IsZero() {
					due = testkit.ShiftWallClock(due, -time.Duration(hours)*time.Hour)
				}
				return dst, due, err
			}
			c := serveOne(t, setup{proto: proto}, a).raw(t, request)
			await(t, a.rested)
			_ = c.Close()
			a.end(t)
			if a.early != 1 {
				t.Errorf("asked %d times before it was due", a.early-1)
			}
		}
	})
}
