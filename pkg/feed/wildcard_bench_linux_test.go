package feed

import (
	"context"
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
		f.offer(Event{Seq: uint64(i + 1), Subject: fmt.Sprintf("notifications.user.%d", i%5000), Data: make([]byte, 100)})
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

// threadTime is the processor time of the calling thread. Unlike the clock it does not include what
// other programs used in between.
func threadTime(tb testing.TB) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// BenchmarkResumeHold resumes at the old end of a full window. It reports for how much processor
// time the feed was locked at once: the longest of all, and what one in a thousand exceeds.
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
				s, err := f.subscription(SubscribeOptions{Filters: filters})
				if err != nil {
					b.Fatal(err)
				}
				s.placeAt(Resume("0-k7f3q9"))
				r := newWindowReader(s.filters)
				for at, end := uint64(0), false; !end; {
					var looked []*Frame
					timed(func() { _, looked, _, _ = s.lookAhead(r, at) })
					if end = len(looked) == 0; !end {
						r.set.count(looked)
						at = looked[len(looked)-1].Seq
					}
				}
				for live := false; !live; {
					var looked []*Frame
					timed(func() { looked, _, _, live = s.lookOrJoin(nextBytes, r) })
					if len(looked) > 0 {
						s.mu.Lock()
						s.readLocked(r.set.match(looked), looked[len(looked)-1].Seq, nextBytes)
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

// BenchmarkLiveBesideResumes is how long an event takes to a live client while another resumes
// with 64 wildcards, over and over, against the same without the other.
func BenchmarkLiveBesideResumes(b *testing.B) {
	f := fullWindow(b)
	ctx := context.Background()
	live, err := f.Subscribe(ctx, SubscribeOptions{Filters: []string{"notifications.live"}})
	if err != nil {
		b.Fatal(err)
	}
	defer live.Close()
	const events = 1000
	seq := f.Status().High
	p99 := func() time.Duration {
		var delays []time.Duration
		for range events {
			seq++
			began := time.Now()
			got := make(chan time.Duration, 1)
			go func() {
				_, err := live.Next(ctx)
				if err != nil {
					b.Error(err)
				}
				got <- time.Since(began)
			}()
			f.offer(Event{Seq: seq, Subject: "notifications.live"})
			delays = append(delays, <-got)
			time.Sleep(10 * time.Microsecond)
		}
		slices.Sort(delays)
		return delays[events*99/100]
	}
	filters := topics(64)
	var quiet, beside []time.Duration
	resumes := 0
	for b.Loop() {
		quiet = append(quiet, p99())
		stop := make(chan struct{})
		var storm sync.WaitGroup
		storm.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, err := f.TrySubscribe(SubscribeOptions{Filters: filters, Start: Resume(fmt.Sprintf("%d-k7f3q9", f.Status().Low+10_000))})
				if err != nil {
					b.Error(err)
					return
				}
				if s == nil {
					continue // the window has moved
				}
				for behind := false; s.State() == Replaying && !behind; {
					_, behind, _ = s.Poll(nextBytes)
				}
				s.Close()
				resumes++
			}
		})
		beside = append(beside, p99())
		close(stop)
		storm.Wait()
	}
	slices.Sort(quiet)
	slices.Sort(beside)
	q, w := quiet[len(quiet)/2], beside[len(beside)/2]
	b.ReportMetric(float64(q.Nanoseconds())/1000, "p99-quiet-µs")
	b.ReportMetric(float64(w.Nanoseconds())/1000, "p99-beside-µs")
	b.ReportMetric(float64(w)/float64(q), "ratio")
	b.ReportMetric(float64(resumes)/float64(b.N), "resumes/op")
}
