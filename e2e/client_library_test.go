package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/go-jose/go-jose/v4"
	"github.com/nats-io/nats.go"
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

// testTokens lets tokens expire while events come.
func (b *browser) testTokens(t *testing.T) {
	const secret = "a secret of thirty-two bytes, or more"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	origin := app(t, "", func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now().Unix()
		signed, err := signer.Sign(fmt.Appendf(nil, `{"sub":"42","iat":%d,"exp":%d}`, now, now+3))
		if err != nil {
			t.Error(err)
			return
		}
		text, _ := signed.CompactSerialize()
		_, _ = w.Write([]byte(text))
	})
	s := serve(t, "--http.cors.origins="+origin, "--auth.identity=jwt", "--auth.jwt.secret_file="+file, "--auth.jwt.leeway=0s", "--auth.jwt.query")
	tabs := map[string]*tab{
		"fetch":       b.start(t, origin, s.url("/events"), "", options{"token": true, "storage": "sessionStorage"}),
		"EventSource": b.start(t, origin, s.url("/events"), "", options{"token": true, "storage": "sessionStorage", "fetch": nil}),
	}
	for _, tab := range tabs {
		tab.awaitOpened()
	}
	p := newProducer(t, s)
	last := 0
	for round := range 3 {
		for _, tab := range tabs {
			tab.await(fmt.Sprintf("closes.filter(c => c.reason === 'token-expired').length > %d", round))
		}
		p.publish(last+1, last+21)
		last += 21
	}
	for name, tab := range tabs {
		tab.wantNumbers(name, numbersOf(me, last))
		if asked := eval[string](tab, "reasons.slice(0, 3).join()"); asked != "first,token-expired,token-expired" {
			t.Errorf("%s asked for tokens because of %s", name, asked)
		}
	}
	key := eval[string](tabs["fetch"], "Object.keys(sessionStorage).filter(k => k.startsWith('tidemark')).join()")
	if !strings.HasPrefix(key, "tidemark 42 http") {
		t.Errorf("the position is kept as %q", key)
	}
}

// testLibraryGap comes with a position of another incarnation.
func (b *browser) testLibraryGap(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	p := newProducer(t, s)
	p.publish(1, 14)
	feed := s.url("/events?user=42")
	tab := b.start(t, origin, feed, "", nil)
	tab.awaitOpened()
	eval[bool](tab, fmt.Sprintf("live.close(), localStorage.setItem('tidemark  %s', '3-zzzzzz'), true", feed))
	run(tab, chromedp.Reload())
	tab.await("!!window.gaps && gaps.length === 1 && gaps[0].reason === 'epoch' && gaps[0].requested === '3-zzzzzz'")
	p.publish(15, 21)
	wantExactly(t, "behind the gap", numbersOf(me, 21), tab.numbers)
	if got := eval[string](tab, "JSON.stringify([gaps.length, errors])"); got != "[1,[]]" {
		t.Error(got)
	}
}

// testLibraryData sends what a naive client breaks.
func (b *browser) testLibraryData(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	tab := b.start(t, origin, s.url("/events?user=42"), "", options{"keep": true})
	tab.awaitOpened()
	p := newProducer(t, s)
	const unit = "0123456789 🌊 ~\n"
	large := strings.Repeat(unit, 1_000_000/len(unit))
	sent := []string{
		"plain", "", " leading space", "trailing newline\n", "\n\n", "two\nlines", "\nfirst empty", "event: fake\nid: 7\ndata: x\n\nretry: 1",
		"🌊🏄🏽‍♀️ \u00a0 \u2028 \ufeff", "\ufeffbom first", "null \x00 byte", `{"a":[1,"\n"]}`, large, "after the large one",
	}
	types := []string{"", "greeting", "größe.✓"}
	for i, data := range sent {
		msg := nats.NewMsg("notifications.user.42")
		msg.Data = []byte(data)
		if typ := types[i%3]; typ != "" {
			msg.Header.Set("Event-Type", typ)
		}
		if _, err := p.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	tab.await(fmt.Sprintf("events.length >= %d", len(sent)))
	got := eval[[]received](tab, "events")
	for i, data := range sent {
		typ := types[i%3]
		if typ == "" {
			typ = "message"
		}
		if got[i].Type != typ || got[i].Data != data {
			t.Errorf("event %d is %s %.80q (%d bytes), want %s %.80q (%d bytes)", i, got[i].Type, got[i].Data, len(got[i].Data), typ, data, len(data))
		}
	}
	if len(got) != len(sent) {
		t.Errorf("%d events came, want %d", len(got), len(sent))
	}
}

// testNoStorage is a page that may neither store nor lock anything.
func (b *browser) testNoStorage(t *testing.T) {
	origin := app(t, "sandbox allow-scripts")
	s := serve(t, "--http.cors.origins=*", "--sse.heartbeat=1s")
	cutter := newProxy(t, s.httpAddr)
	for _, shared := range []bool{false, true} {
		tab := b.start(t, origin, cutter.url("/events?user=42"), "", options{"shared": shared})
		tab.await("live.state === 'open' && opens.length > 0")
		if eval[string](tab, "(() => { try { return localStorage ? 'has' : 'none'; } catch (e) { return e.name; } })()") != "SecurityError" {
			t.Fatal("the page has a storage")
		}
		first := 1
		if shared {
			first = 29
		}
		p := newProducer(t, s)
		p.publish(first, first+13)
		cutter.cut(cutReset)
		p.publish(first+14, first+27)
		tab.wantNumbers(fmt.Sprintf("without a storage (shared: %t)", shared), since(first-1, first+27))
	}
}
