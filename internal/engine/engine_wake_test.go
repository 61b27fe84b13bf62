package engine_test

import (
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/tidemark/tidemark/internal/engine"
)

// oneLoop makes an engine use a single loop. The test must not run in parallel with others.
func oneLoop(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// With many waking goroutines, each value put before a wake is delivered once.
func TestWakes(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		const wakers, each = 8, 2000
		src := newNumbers(t)
		in := bodyLines(t, serveOne(t, setup{proto: proto}, src).get(t).Body)
		in.want(0)
		var waking sync.WaitGroup
		for w := range wakers {
			waking.Go(func() {
				for i := range each {
					src.put(w*each + i)
				}
			})
		}
		seen := make([]bool, wakers*each)
		for range seen {
			n := in.number()
			if seen[n] {
				t.Errorf("%d came twice", n)
			}
			seen[n] = true
		}
		waking.Wait()
	})
}

// No wake is lost if no later wake follows. Other goroutines wake without a reason.
func TestNoWakeIsLost(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		const rounds = 3000
		src := newNumbers(t)
		in := bodyLines(t, serveOne(t, setup{proto: proto}, src).get(t).Body)
		in.want(0)
		var noise sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			noise.Go(func() {
				for range rounds / 2 {
					src.wake()
					select {
					case <-done:
						return
					default:
						runtime.Gosched()
					}
				}
			})
		}
		for i := range rounds {
			src.put(i)
			in.want(i)
		}
		close(done)
		noise.Wait()
	})
}

// Values put while a peer was blocked are delivered once it accepts bytes.
func TestWakeOfBlocked(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		const total = 300_000
		src := newNumbers(t)
		s := serveOne(t, setup{proto: proto, buffer: 16 << 10}, src)
		c := s.rawBy(t, smallPeer(), request)
		for i := range total {
			src.put(i)
		}
		standing(src.script)
		in := rawLines(t, c)
		in.want(0)
		for i := range total {
			in.want(i)
		}
		src.put(total) // the connection works as before
		in.want(total)
	})
}

// A source gets its turns on the same loop as sources that always have more frames.
func TestFairness(t *testing.T) {
	oneLoop(t)
	var busy []*script
	var mu sync.Mutex
	quiet := newNumbers(t)
	s := newServing(t, setup{proto: "http1"}, func(r *http.Request) engine.Source {
		if r.URL.Path != "/busy" {
			return quiet
		}
		mu.Lock()
		defer mu.Unlock()
		busy = append(busy, endless(t))
		return busy[len(busy)-1]
	})
	const greedy = 2
	var draining sync.WaitGroup
	for range greedy {
		c := s.raw(t, "GET /busy HTTP/1.1\r\nHost: tidemark\r\n\r\n")
		draining.Go(func() { _, _ = io.Copy(io.Discard, c) })
	}
	in := rawLines(t, s.raw(t, request))
	in.want(0)
	for i := range 200 {
		quiet.put(i)
		in.want(i)
	}
	s.engine.Close()
	draining.Wait()
	for _, src := range busy {
		if end := src.end(t); end.err != engine.ErrClosed {
			t.Error(end.err)
		}
	}
}
