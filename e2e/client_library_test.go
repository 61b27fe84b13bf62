package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// testReloads reloads a page again and again while events come. The library comes from the
// service, which is another origin than the page's.
func (b *browser) testReloads(t *testing.T) {
	const total, reloads = 700, 8
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	tab := b.start(t, origin, s.url("/events?user=42"), s.url("/client.js"), nil)
	tab.awaitOpened()
	p := newProducer(t, s)
	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(1, total) })
	for i := range reloads {
		p.awaitStored((i + 1) * total / (reloads + 1))
		run(tab, chromedp.Reload())
		tab.await("!!window.live")
	}
	publishing.Wait()
	tab.wantNumbers("a page that is reloaded", numbersOf(me, total))

	// A tab that is new goes on where the browser is by now.
	p.publish(total+1, total+14)
	tab.wantNumbers("a page that is reloaded", numbersOf(me, total+14))
	late := b.start(t, origin, s.url("/events?user=42"), "", options{"from": "all"})
	late.awaitOpened()
	p.publish(total+15, total+21)
	late.wantNumbers("a new tab", since(total+14, total+21))
}

// testCutsAndKills: fetch and EventSource under everything that takes a connection away, also
// what nobody is told of, and under the death of the service.
func (b *browser) testCutsAndKills(t *testing.T) {
	const total, kills = 805, 2
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	cutter := newProxy(t, s.httpAddr)
	// The sandbox of one test is one browser: each has a storage of its own here.
	own := options{"storage": "sessionStorage"}
	tabs := map[string]*tab{
		"fetch":       b.start(t, origin, cutter.url("/events?user=42"), "", own),
		"EventSource": b.start(t, origin, cutter.url("/events?user=42"), "", options{"storage": "sessionStorage", "fetch": nil}),
		"direct":      b.start(t, origin, s.url("/events?user=42"), "", own),
	}
	for _, tab := range tabs {
		tab.awaitOpened()
	}
	p := newProducer(t, s)
	var chaos, publishing sync.WaitGroup
	over := make(chan struct{})
	chaos.Go(func() { cutOften(over, cutter, allCuts) })
	publishing.Go(func() { p.publish(1, total-1) })
	for i := range kills {
		p.awaitStored((i + 1) * total / (kills + 1))
		s.kill()
		refused := eval[int](tabs["direct"], "waits.length") + 3
		tabs["direct"].await(fmt.Sprintf("waits.length > %d", refused))
		s.start()
	}
	publishing.Wait()
	close(over)
	chaos.Wait()
	p.publish(total, total)
	for name, tab := range tabs {
		tab.wantNumbers(name, numbersOf(me, total))
	}
}

// test503 has a proxy that says 503 for a while, which would be the end of an EventSource.
func (b *browser) test503(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	var down atomic.Bool
	var refused atomic.Int64
	target, _ := url.Parse(s.url("/"))
	// Without X-Forwarded-For: ?user= is for those on the machine itself.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			refused.Add(1)
			http.Error(w, "the backend is away", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	t.Cleanup(front.CloseClientConnections)
	tab := b.start(t, origin, front.URL+"/events?user=42", "", nil)
	tab.awaitOpened()
	p := newProducer(t, s)
	p.publish(1, 14)
	down.Store(true)
	front.CloseClientConnections()
	eventually(t, "refusals", func() bool { return refused.Load() > 5 })
	p.publish(15, 28)
	down.Store(false)
	tab.wantNumbers("behind a proxy that said 503", numbersOf(me, 28))
}

// testDeadSocket: the connection is gone, and nothing tells so.
func (b *browser) testDeadSocket(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	cutter := newProxy(t, s.httpAddr)
	tab := b.start(t, origin, cutter.url("/events?user=42"), "", nil)
	tab.awaitOpened()
	p := newProducer(t, s)
	p.publish(1, 14)
	tab.wantNumbers("live", numbersOf(me, 14))
	cutter.cut(cutClient)
	p.publish(15, 28)
	tab.wantNumbers("after its socket died", numbersOf(me, 28))
	tab.await("waits.length === 1 && waits[0].includes('nothing for too long')")
}

// testAsleep freezes a page, as a phone does.
func (b *browser) testAsleep(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	tab := b.start(t, origin, s.url("/events?user=42"), "", nil)
	tab.awaitOpened()
	p := newProducer(t, s)
	for i := range 3 {
		first := i*28 + 1
		p.publish(first, first+13)
		tab.wantNumbers("awake", numbersOf(me, first+13))
		tab.lifecycle(page.SetWebLifecycleStateStateFrozen)
		s.awaitStreams(0) // nobody writes to a page that sleeps
		p.publish(first+14, first+27)
		tab.lifecycle(page.SetWebLifecycleStateStateActive)
		tab.wantNumbers("awake again", numbersOf(me, first+27))
	}
}

// testBack leaves a page and comes back to it by the browser's own button, which may have kept
// the page as it was.
func (b *browser) testBack(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	tab := b.start(t, origin, s.url("/events?user=42"), "", nil)
	tab.awaitOpened()
	eval[bool](tab, "window.addEventListener('pageshow', e => { window.kept = e.persisted; }), true")
	p := newProducer(t, s)
	p.publish(1, 14)
	tab.wantNumbers("before", numbersOf(me, 14))
	run(tab, chromedp.Navigate(origin+"/token")) // another page, of whatever kind
	s.awaitStreams(0)
	p.publish(15, 28)
	eval[bool](tab, "history.back(), true")
	tab.await("!!window.live")
	tab.wantNumbers("back again", numbersOf(me, 28))
	t.Logf("kept in the back/forward cache: %t", eval[bool](tab, "!!window.kept"))
}

// testWakes: a wait of ten minutes ends when the network or the user is back.
func (b *browser) testWakes(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.retry=10m")
	cutter := newProxy(t, s.httpAddr)
	tab := b.start(t, origin, cutter.url("/events?user=42"), "", options{"minBackoff": 600_000, "maxBackoff": 600_000, "idleTimeout": 600_000})
	tab.awaitOpened()
	p := newProducer(t, s)
	for i, event := range []string{"window.dispatchEvent(new Event('online'))", "window.dispatchEvent(new Event('pageshow'))", "document.dispatchEvent(new Event('visibilitychange'))"} {
		cutter.cut(cutReset)
		tab.await("live.state === 'waiting'")
		p.publish(i*14+1, i*14+14)
		eval[bool](tab, event)
		tab.wantNumbers("after "+event, numbersOf(me, i*14+14))
	}
}

func (p *tab) lifecycle(state page.SetWebLifecycleStateState) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}); err != nil {
		p.t.Fatal(err)
	}
}

// awaitStreams waits until the service has a number of streams.
func (s *service) awaitStreams(n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprint(n, " streams"), func() bool { return s.streams() == n })
}

func (s *service) streams() int {
	resp, err := direct.Get(s.url("/readyz"))
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	var health struct{ Streams int }
	if json.NewDecoder(resp.Body).Decode(&health) != nil {
		return -1
	}
	return health.Streams
}
