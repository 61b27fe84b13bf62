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

// followers are the clients that a page has: the library over fetch and over EventSource, and
// the browser's own EventSource, for which the page keeps the position.
var followers = map[string]options{
	"the library":                  {"storage": "sessionStorage"},
	"the library over EventSource": {"storage": "sessionStorage", "fetch": nil},
	"EventSource":                  {"native": true},
}

// startEach opens a tab for each follower in each engine. The sandbox of a test is one browser:
// each tab has a storage of its own.
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

// testReloads reloads a page again and again while events come. The library comes from the
// service, which is another origin than the page's.
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

	// A tab that is new goes on where the browser is by now.
	p.publish(total+1, total+14)
	group.wantNumbers("a page that is reloaded", numbersOf(me, total+14))
	late := e.start(t, origin, s.url("/events?user=42"), "", options{"from": "all"})
	late.awaitOpened()
	p.publish(total+15, total+21)
	late.wantNumbers("a new tab", since(total+14, total+21))
}

// testCutsAndKills: fetch and EventSource under everything that takes a connection away, also
// what nobody is told of, and under the death of the service.
func (e engines) testCutsAndKills(t *testing.T) {
	const total, kills = 805, 2
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	cutter := newProxy(t, s.httpAddr)
	// The sandbox of one test is one browser: each has a storage of its own here.
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

// test503 has a proxy that says 503 for a while, which would be the end of an EventSource.
func (e engines) test503(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	var down atomic.Bool
	target, _ := url.Parse(s.url("/"))
	// Without X-Forwarded-For: ?user= is for those on the machine itself.
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

// testDeadSocket: the connection is gone, and nothing tells so.
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

// testAsleep freezes a page, as a phone does.
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
		s.awaitStreams(0) // nobody writes to a page that sleeps
		p.publish(first+14, first+27)
		tab.lifecycle(page.SetWebLifecycleStateStateActive)
		tab.wantNumbers("awake again", numbersOf(me, first+27))
	}
}

// testBack leaves a page and comes back to it by the browser's own button, which may have kept
// the page as it was.
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
		tab.navigate(origin + "/token") // another page, of whatever kind
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

// testWakes: a wait of ten minutes ends when the network or the user is back.
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
