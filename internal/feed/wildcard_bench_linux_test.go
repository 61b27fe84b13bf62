package feed

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fullWindow is a feed whose window holds 65,536 events on 5,000 subjects.
func fullWindow(tb testing.TB) *Feed {
	tb.Helper()
	f, _ := benchFeed(0, nil)
	for i := range 65_536 {
		f.publish(Event{Seq: uint64(i + 1), Subject: fmt.Sprintf("notifications.user.%d", i%5000), Data: make([]byte, 100)})
	}
	return f
}

// topics are n wildcard filters that no event of fullWindow matches.
func topics(n int) (filters []string) {
	for i := range n {
		filters = append(filters, fmt.Sprintf("notifications.topic.*.x%d", i))
	}
	return filters
}

// plainUsers are n subjects of fullWindow.
func plainUsers(n int) (filters []string) {
	for i := range n {
		filters = append(filters, fmt.Sprintf("notifications.user.%d", i))
	}
	return filters
}

// threadTime is the processor time of the calling thread. Unlike the clock it does not include the time of
// other programs.
func threadTime(tb testing.TB) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// BenchmarkResumeHold resumes at the old end of a full window. It reports the processor time during
// which the feed was locked at once: the maximum and the 99.9th percentile.
func BenchmarkResumeHold(b *testing.B) {
	for name, filters := range map[string][]string{
		"wildcards=1": topics(1), "wildcards=64": topics(64), "all": {">"}, "plain=64": plainUsers(64),
	} {
		b.Run(name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			f := fullWindow(b)
			var holds []time.Duration
			timed := func(step func()) {
				began := threadTime(b)
				step()
				holds = append(holds, threadTime(b)-began)
			}
			for b.Loop() {
				s, _, err := f.register(SubscribeOptions{Filters: filters, Start: Resume("0-k7f3q9")}, true)
				if err != nil {
					b.Fatal(err)
				}
				r := newWindowReader(s.filters)
				for at, end := uint64(0), false; !end; {
					var looked []*Frame
					timed(func() { _, looked, _, _ = s.copyBehind(r, at) })
					if end = len(looked) == 0; !end {
						r.set.count(looked)
						at = looked[len(looked)-1].Seq
					}
				}
				s.setStateLocked(CatchingUp)
				for live := false; !live; {
					var looked []*Frame
					timed(func() { looked, _, _, live = s.readOrGoLive(nextBytes, r) })
					if len(looked) > 0 {
						frames, upTo := r.set.match(looked)
						s.mu.Lock()
						s.readLocked(frames, upTo, nextBytes)
						s.mu.Unlock()
					}
				}
				s.Close()
			}
			slices.Sort(holds)
			b.ReportMetric(float64(holds[len(holds)-1].Nanoseconds())/1000, "longest-hold-µs")
			b.ReportMetric(float64(holds[len(holds)*999/1000].Nanoseconds())/1000, "p99.9-hold-µs")
		})
	}
}

// BenchmarkLiveDuringResumes measures the delay of an event to a live client in three cases: alone, in
// parallel with a client that resumes with 64 wildcards repeatedly, and in parallel with a goroutine that
// computes as much without the feed. The last one shows the cost of the processor time alone.
func BenchmarkLiveDuringResumes(b *testing.B) {
	f := fullWindow(b)
	live, err := f.Subscribe(b.Context(), SubscribeOptions{Filters: []string{"notifications.live"}})
	if err != nil {
		b.Fatal(err)
	}
	defer live.Close()
	delays := func() time.Duration { return liveDelay(b, f, live) }
	filters := topics(64)
	var alone, beside, computing []time.Duration
	for b.Loop() {
		alone = append(alone, delays())
		beside = append(beside, during(func() { resumeOnce(b, f, filters) }, delays))
		set := newFilterSet(filters)
		computing = append(computing, during(func() {
			for range 1000 {
				set.matches("notifications.user.1234")
			}
		}, delays))
	}
	us := func(of []time.Duration) float64 {
		slices.Sort(of)
		return float64(of[len(of)/2].Nanoseconds()) / 1000
	}
	b.ReportMetric(us(alone), "p99-alone-µs")
	b.ReportMetric(us(beside), "p99-beside-µs")
	b.ReportMetric(us(computing), "p99-computing-µs")
	b.ReportMetric(us(beside)/us(alone), "beside/alone")
	b.ReportMetric(us(beside)/us(computing), "beside/computing")
}

// liveDelay publishes events one by one, and returns the 99th percentile of their delays.
func liveDelay(b *testing.B, f *Feed, live *Subscription) time.Duration {
	const events = 1000
	var delays []time.Duration
	got := make(chan time.Time)
	go func() {
		for range events {
			if _, err := live.Next(b.Context()); err != nil {
				b.Error(err)
			}
			got <- time.Now()
		}
	}()
	seq := f.Status().High
	for range events {
		seq++
		began := time.Now()
		f.publish(Event{Seq: seq, Subject: "notifications.live"})
		delays = append(delays, (<-got).Sub(began))
		time.Sleep(10 * time.Microsecond)
	}
	slices.Sort(delays)
	return delays[events*99/100]
}

// during measures while another goroutine repeats load.
func during(load func(), measure func() time.Duration) time.Duration {
	stop := make(chan struct{})
	var loading sync.WaitGroup
	loading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				load()
			}
		}
	})
	defer loading.Wait()
	defer close(stop)
	return measure()
}

func resumeOnce(b *testing.B, f *Feed, filters []string) {
	start := Resume(fmt.Sprintf("%d-k7f3q9", f.Status().Low+10_000))
	s, err := f.TrySubscribe(SubscribeOptions{Filters: filters, Start: start})
	if err != nil || s == nil {
		b.Error(s, err)
		return
	}
	for behind := false; s.State() != Live && !behind; {
		_, behind, _ = s.Poll(nextBytes)
	}
	s.Close()
}
