package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// testTenTabs: ten tabs share one connection, and each receives every event, while the leading tab is closed,
// frozen, or reloaded, and the service is killed.
func (e engines) testTenTabs(t *testing.T) {
	b := e.only(t, chromiumEngine)
	const tabs, total = 10, 700
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	feed := s.url("/events?user=42")
	group := make([]*tab, tabs)
	for i := range group {
		group[i] = b.start(t, origin, feed, "", options{"shared": true})
	}
	for _, tab := range group {
		tab.awaitOpened()
	}
	s.awaitStreams(1)
	p := newProducer(t, s)
	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(1, total-1) })

	p.awaitStored(100)
	first := leader(t, group)
	run(group[first], chromedp.Evaluate[bool](`live.close(), true`)) // as an unloaded page does, but the test can still evaluate in it
	left := closeTab(group, first)
	p.awaitStored(250)
	second := leader(t, left)
	left[second].lifecycle(page.SetWebLifecycleStateStateFrozen)
	p.awaitStored(350)
	left[second].lifecycle(page.SetWebLifecycleStateStateActive)
	p.awaitStored(400)
	s.kill()
	s.start()
	p.awaitStored(550)
	third := leader(t, left)
	run(left[third], chromedp.Navigate("about:blank"))
	left = closeTab(left, third)
	publishing.Wait()
	p.publish(total, total)

	for i, tab := range left {
		tab.wantNumbers(fmt.Sprint("tab ", i), numbersOf(me, total))
	}
	s.awaitStreams(1)
	early := group[first].numbers()
	if len(early) == 0 || firstDifference(early, numbersOf(me, total)[:len(early)]) != "one is the beginning of the other" {
		t.Errorf("the first leader had %v", early)
	}
	fetches := 0
	for _, tab := range left {
		fetches += eval[int](tab, "fetches")
	}
	t.Logf("%d tabs made %d connections in all", len(left), fetches)
}

// leader returns the tab with the latest connection; all others must have none.
func leader(t *testing.T, group []*tab) (index int) {
	t.Helper()
	eventually(t, "a tab that leads", func() bool {
		for i, tab := range group {
			if eval[bool](tab, "fetches > (window.counted || 0) && live.state === 'open'") {
				index = i
				return true
			}
		}
		return false
	})
	for _, tab := range group {
		eval[int](tab, "window.counted = fetches")
	}
	return index
}

// closeTab removes one tab.
func closeTab(group []*tab, index int) []*tab {
	return append(append([]*tab(nil), group[:index]...), group[index+1:]...)
}

// testLag has slow, hanging and late tabs.
func (e engines) testLag(t *testing.T) {
	b := e.only(t, chromiumEngine)
	const total = 420
	release := make(chan struct{})
	origin := app(t, "", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	feed := s.url("/events?user=42")
	quick := b.start(t, origin, feed, "", options{"shared": true})
	quick.awaitOpened()
	slow := b.start(t, origin, feed, "", options{"shared": true})
	slow.awaitOpened()
	eval[int](slow, "window.slow = 5")
	p := newProducer(t, s)
	p.publish(1, total/2)
	quick.wantNumbers("the quick tab", numbersOf(me, total/2))
	late := b.start(t, origin, feed, "", options{"shared": true})
	late.awaitOpened()
	p.publish(total/2+1, total)
	quick.wantNumbers("the quick tab", numbersOf(me, total))
	late.wantNumbers("the late tab", since(total/2, total))
	slow.wantNumbers("the slow tab", numbersOf(me, total))
	s.awaitStreams(1)

	// Larger than the queue of a tab: it catches up with its own connection, and then shares again.
	eval[int](slow, "window.slow = 300")
	for n := total + 1; n <= total+28; n++ {
		p.large(n, 600_000)
	}
	quick.wantNumbers("the quick tab", numbersOf(me, total+28))
	eval[int](slow, "window.slow = 0")
	slow.wantNumbers("the slow tab", numbersOf(me, total+28))
	if eval[int](slow, "fetches") == 0 {
		t.Error("the slow tab made no connection of its own")
	}
	s.awaitStreams(1)

	// The leading tab hangs: another tab takes its lock.
	eval[bool](quick, `setTimeout(() => {
		const asking = new XMLHttpRequest();
		asking.open('GET', '/token', false); // and blocks
		asking.send();
	}), true`)
	p.publish(total+29, total+42)
	late.wantNumbers("the late tab", since(total/2, total+42))
	slow.wantNumbers("the slow tab", numbersOf(me, total+42))
	close(release)
	quick.wantNumbers("the tab that hung", numbersOf(me, total+42))
	s.awaitStreams(1)
}

// large stores event n with size bytes.
func (p *producer) large(n, size int) {
	p.t.Helper()
	if _, err := p.js.Publish(p.t.Context(), recipient(n), fmt.Appendf(nil, "%d %s", n, strings.Repeat("~", size))); err != nil {
		p.t.Fatal(err)
	}
}
