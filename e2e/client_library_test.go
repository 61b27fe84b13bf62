package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// followers are the clients of a page: the library over fetch, the library over EventSource, and EventSource
// alone, for which the page keeps the position.
var followers = map[string]options{
	"the library":                  {"storage": "sessionStorage"},
	"the library over EventSource": {"storage": "sessionStorage", "fetch": nil},
	"EventSource":                  {"native": true},
}

// startEach opens a tab for each follower in each engine. Within a test all share one browser, so each tab has its
// own storage.
func (e engines) startEach(t *testing.T, origin, feed, library string, o options) map[string]tabs {
	t.Helper()
	all := map[string]tabs{}
	for name, own := range followers {
		merged := maps.Clone(own)
		maps.Copy(merged, o)
		all[name] = e.start(t, origin, feed, library, merged)
	}
	for _, group := range all {
		group.awaitOpened()
	}
	return all
}

// testReloads reloads a page repeatedly while events arrive. The library comes from the service, which has another
// origin than the page.
func (e engines) testReloads(t *testing.T) {
	const total, reloads = 700, 6
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	group := e.start(t, origin, s.url("/events?user=42"), s.url("/client.js"), nil)
	group.awaitOpened()
	native := e.start(t, origin, s.url("/events?user=42"), "", followers["EventSource"])
	native.awaitOpened()
	p := newProducer(t, s)
	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(1, total) })
	for i := range reloads {
		p.awaitStored((i + 1) * total / (reloads + 1))
		for _, tab := range append(slices.Clone(group), native...) {
			tab.reload()
			tab.await("!!window.live")
		}
	}
	publishing.Wait()
	group.wantNumbers("a page that is reloaded", numbersOf(me, total))
	native.wantNumbers("a page that is reloaded, with EventSource", numbersOf(me, total))

	// A new tab continues at the position of the browser.
	p.publish(total+1, total+14)
	group.wantNumbers("a page that is reloaded", numbersOf(me, total+14))
	late := e.start(t, origin, s.url("/events?user=42"), "", options{"from": "all"})
	late.awaitOpened()
	p.publish(total+15, total+21)
	late.wantNumbers("a new tab", since(total+14, total+21))
}

// testCutsAndKills runs fetch and EventSource through every way to lose a connection, also those that a client
// cannot detect at once, and through kills of the service.
func (e engines) testCutsAndKills(t *testing.T) {
	const total, kills = 805, 2
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	cutter := newProxy(t, s.httpAddr)
	// Within a test all share one browser: each follower has its own storage.
	groups := map[string]tabs{
		"fetch":       e.start(t, origin, cutter.url("/events?user=42"), "", followers["the library"]),
		"EventSource": e.start(t, origin, cutter.url("/events?user=42"), "", followers["the library over EventSource"]),
		"direct":      e.start(t, origin, s.url("/events?user=42"), "", followers["the library"]),
	}
	for _, group := range groups {
		group.awaitOpened()
	}
	p := newProducer(t, s)
	var chaos, publishing sync.WaitGroup
	over := make(chan struct{})
	chaos.Go(func() { cutOften(over, cutter, allCuts) })
	publishing.Go(func() { p.publish(1, total-1) })
	for i := range kills {
		p.awaitStored((i + 1) * total / (kills + 1))
		s.kill()
		for _, tab := range groups["direct"] {
			refused := eval[int](tab, "waits.length") + 2
			tab.await(fmt.Sprintf("waits.length > %d", refused))
		}
		s.start()
	}
	publishing.Wait()
	close(over)
	chaos.Wait()
	p.publish(total, total)
	for name, group := range groups {
		group.wantNumbers(name, numbersOf(me, total))
	}
}

// test503 lets a proxy answer 503 for a while, after which an EventSource alone gives up.
func (e engines) test503(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	var down atomic.Bool
	target, _ := url.Parse(s.url("/"))
	// Without X-Forwarded-For: ?user= is accepted from loopback only.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "the backend is away", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	t.Cleanup(front.CloseClientConnections)
	group := e.start(t, origin, front.URL+"/events?user=42", "", nil)
	group.awaitOpened()
	p := newProducer(t, s)
	p.publish(1, 14)
	down.Store(true)
	front.CloseClientConnections()
	for _, tab := range group {
		tab.await("waits.length > 3")
	}
	p.publish(15, 28)
	down.Store(false)
	group.wantNumbers("behind a proxy that said 503", numbersOf(me, 28))
}

// testDeadSocket loses a connection without a reset or a FIN.
func (e engines) testDeadSocket(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	cutter := newProxy(t, s.httpAddr)
	group := e.start(t, origin, cutter.url("/events?user=42"), "", nil)
	group.awaitOpened()
	p := newProducer(t, s)
	p.publish(1, 14)
	group.wantNumbers("live", numbersOf(me, 14))
	cutter.cut(cutClient)
	p.publish(15, 28)
	group.wantNumbers("after its socket died", numbersOf(me, 28))
	for _, tab := range group {
		// More than once where the machine is so slow that a heartbeat is late.
		tab.await("waits.length > 0 && waits.every(w => w.includes('idle timeout'))")
	}
}

// testAsleep freezes a page, as phones do.
func (e engines) testAsleep(t *testing.T) {
	b := e.only(t, chromiumEngine)
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
		s.awaitStreams(0) // a frozen page has no connection
		p.publish(first+14, first+27)
		tab.lifecycle(page.SetWebLifecycleStateStateActive)
		tab.wantNumbers("awake again", numbersOf(me, first+27))
	}
}

// testBack leaves a page and returns with the back button. The browser may have kept the page in its cache.
func (e engines) testBack(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	group := e.start(t, origin, s.url("/events?user=42"), "", nil)
	group.awaitOpened()
	for _, tab := range group {
		eval[bool](tab, "window.addEventListener('pageshow', e => { window.kept = e.persisted; }), true")
	}
	p := newProducer(t, s)
	p.publish(1, 14)
	group.wantNumbers("before", numbersOf(me, 14))
	for _, tab := range group {
		tab.navigate(origin + "/token") // any other page
	}
	s.awaitStreams(0)
	p.publish(15, 28)
	for _, tab := range group {
		eval[bool](tab, "history.back(), true")
	}
	for _, tab := range group {
		tab.await("!!window.live")
		tab.wantNumbers("back again", numbersOf(me, 28))
		t.Logf("%s keeps a page in its back/forward cache: %t", tab.engine, eval[bool](tab, "!!window.kept"))
	}
}

// testWakes: a wait of ten minutes ends when the network or the user returns.
func (e engines) testWakes(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.retry=10m")
	cutter := newProxy(t, s.httpAddr)
	group := e.start(t, origin, cutter.url("/events?user=42"), "", options{"minBackoff": 600_000, "maxBackoff": 600_000, "idleTimeout": 600_000})
	group.awaitOpened()
	p := newProducer(t, s)
	for i, event := range []string{"window.dispatchEvent(new Event('online'))", "window.dispatchEvent(new Event('pageshow'))", "document.dispatchEvent(new Event('visibilitychange'))"} {
		cutter.cut(cutReset)
		for _, tab := range group {
			tab.await("live.state === 'waiting'")
		}
		p.publish(i*14+1, i*14+14)
		for _, tab := range group {
			eval[bool](tab, event)
		}
		group.wantNumbers("after "+event, numbersOf(me, i*14+14))
	}
}

func (p *tab) lifecycle(state page.SetWebLifecycleStateState) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}); err != nil {
		p.t.Fatal(err)
	}
}

// awaitStreams waits until the service has a number of connections.
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
	var health struct{ Connections int }
	if json.NewDecoder(resp.Body).Decode(&health) != nil {
		return -1
	}
	return health.Connections
}
