package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/tidemark/tidemark/pkg/web"
)

// TestClientLibrary runs pkg/web/client in real browsers.
func TestClientLibrary(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	t.Run("reloads", e.testReloads)
	t.Run("cuts and kills", e.testCutsAndKills)
	t.Run("503", e.test503)
	t.Run("held back", e.testHeldBack)
	t.Run("a dead socket", e.testDeadSocket)
	t.Run("a page asleep", e.testAsleep)
	t.Run("a machine asleep", e.testStopped)
	t.Run("until the end", e.testUntilEnd)
	t.Run("back", e.testBack)
	t.Run("wakes", e.testWakes)
	t.Run("tokens", e.testTokens)
	t.Run("a gap", e.testLibraryGap)
	t.Run("exact data", e.testLibraryData)
	t.Run("no storage", e.testNoStorage)
	t.Run("ten tabs", e.testTenTabs)
	t.Run("tabs that lag", e.testLag)
	t.Run("two accounts", e.testTwoAccounts)
}

// app serves a page that follows feeds with the client library, from its own origin. policy is the
// Content-Security-Policy of the page; empty for none.
func app(t *testing.T, policy string, more ...http.HandlerFunc) (origin string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if policy != "" {
			w.Header().Set("Content-Security-Policy", policy)
		}
		_, _ = w.Write([]byte(appHTML))
	})
	mux.Handle("/client.js", web.Client())
	for _, h := range more {
		mux.HandleFunc("/token", h)
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// options of connect, as JSON.
type options map[string]any

// start opens a tab in each engine.
func (e engines) start(t *testing.T, origin, feed, library string, o options) (group tabs) {
	t.Helper()
	for _, b := range e {
		group = append(group, b.start(t, origin, feed, library, o))
	}
	return group
}

func (g tabs) awaitOpened() {
	for _, p := range g {
		p.t.Helper()
		p.awaitOpened()
	}
}

func (g tabs) wantNumbers(who string, want []int) {
	for _, p := range g {
		p.t.Helper()
		p.wantNumbers(who, want)
	}
}

// start opens a tab with the app, which follows a feed at once, also after a reload. The library comes from the
// origin of the app, or from library.
func (b *browser) start(t *testing.T, origin, feed, library string, o options) *tab {
	t.Helper()
	o = fill(o)
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	p := b.open(t, origin+"/?"+url.Values{"feed": {feed}, "client": {library}, "options": {string(text)}}.Encode())
	p.await("!!window.live")
	return p
}

// fill sets the short delays of tests.
func fill(o options) options {
	filled := options{"minBackoff": 10, "maxBackoff": 200, "idleTimeout": 2500} // the services of these tests send a heartbeat each second
	for name, value := range o {
		filled[name] = value
	}
	return filled
}

func (p *tab) numbers() []int { return eval[[]int](p, "numbers()") }

// wantNumbers waits for the last number and compares all that the page received, over all reloads. There must be
// no gap.
func (p *tab) wantNumbers(who string, want []int) {
	p.t.Helper()
	who = p.engine + ": " + who
	wantExactly(p.t, who, want, p.numbers)
	if gaps := eval[int](p, "gaps.length"); gaps > 0 {
		p.t.Errorf("%s received %d gaps", who, gaps)
	}
	if errors := eval[[]string](p, "errors"); len(errors) > 0 {
		p.t.Errorf("%s met errors: %q", who, errors)
	}
	p.t.Logf("%s: %d events, %d starts of a stream in this life of the page", who, len(want), eval[int](p, "opens.length"))
}

func (p *tab) awaitOpened() {
	p.t.Helper()
	p.await("!!(window.live && live.state === 'open' && live.position)")
}

// since returns the numbers of a user after a number.
func since(after, last int) []int {
	return slices.DeleteFunc(numbersOf(me, last), func(n int) bool { return n <= after })
}

// A handled event is recorded where a reload keeps it, in the same task.
const appHTML = `<!doctype html><meta charset="utf-8"><title>app</title><script type="module">
const query = new URLSearchParams(location.search), options = JSON.parse(query.get('options'));
const { connect } = options.native ? { connect: native } : await import(query.get('client') || '/client.js');
let kept = '';
const notes = {
  get text() { try { return sessionStorage.getItem('notes') || ''; } catch { return kept; } },
  set text(v) { try { sessionStorage.setItem('notes', v); } catch { kept = v; } },
};
Object.assign(window, { opens: [], gaps: [], closes: [], errors: [], events: [], reasons: [], waits: [], fetches: 0, slow: 0, ended: 0 });
window.numbers = () => notes.text.split(' ').filter(Boolean).map(Number);
if (options.storage === 'sessionStorage') options.storage = sessionStorage;
if (options.token) options.token = async reason => {
  reasons.push(reason || 'first');
  return (await fetch('/token')).text();
};
if (options.fetch !== null) options.fetch = (...args) => { fetches++; return fetch(...args); };
// EventSource with the same handlers, and with the additions that docs/reference/clients.md describes: the page
// keeps the position, and opens another EventSource when one has given up or is silent for longer than the
// heartbeat.
function native(feed, o) {
  const live = { position: sessionStorage.getItem('position'), revived: 0, deaf: 0, get state() { return ['connecting', 'open', 'closed'][live.source.readyState]; } };
  let heard;
  const begin = () => {
    heard = Date.now();
    const source = live.source = new EventSource(feed + '&heartbeat=event' + (live.position ? '&last_event_id=' + encodeURIComponent(live.position) : ''));
    const listen = (type, take) => source.addEventListener(type, e => {
      heard = Date.now();
      take(e);
      sessionStorage.setItem('position', live.position = e.lastEventId);
    });
    for (const type of ['message', ...(o.types || [])]) listen(type, e => { o.onEvent({ type: e.type, data: e.data, id: e.lastEventId }); });
    for (const name of ['Open', 'Gap', 'Close']) listen('tidemark.' + name.toLowerCase(), e => { o['on' + name](JSON.parse(e.data)); });
    listen('tidemark.position', () => {});
    source.onerror = () => {
      heard = Date.now();
      o.onState('waiting', { error: { message: live.state } });
      if (source.readyState !== EventSource.CLOSED) return;
      live.revived++;
      setTimeout(begin, 200);
    };
  };
  begin();
  setInterval(() => {
    if (live.state !== 'open' || Date.now() - heard < o.idleTimeout) return;
    live.source.close();
    live.deaf++;
    o.onState('waiting', { error: { message: 'deaf' } });
    begin();
  }, 500);
  return live;
}
window.live = connect(query.get('feed'), { ...options,
  onEvent: async e => {
    if (slow) await new Promise(done => setTimeout(done, slow));
    notes.text += parseInt(e.data) + ' ';
    if (options.keep) events.push(e);
  },
  onOpen: o => { opens.push(o); }, onGap: g => { gaps.push(g); }, onClose: c => { closes.push(c); }, onEnd: () => { ended++; },
  onError: e => { errors.push(e.message); },
  onState: (s, more) => { if (s === 'waiting') waits.push(more.error.message); },
});
</script>`
