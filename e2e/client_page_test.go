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

// TestClientLibrary is about pkg/web/client in a real browser.
func TestClientLibrary(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	t.Run("reloads", b.testReloads)
	t.Run("cuts and kills", b.testCutsAndKills)
	t.Run("503", b.test503)
	t.Run("a dead socket", b.testDeadSocket)
	t.Run("a page asleep", b.testAsleep)
	t.Run("back", b.testBack)
	t.Run("wakes", b.testWakes)
	t.Run("tokens", b.testTokens)
	t.Run("a gap", b.testLibraryGap)
	t.Run("exact data", b.testLibraryData)
	t.Run("no storage", b.testNoStorage)
	t.Run("ten tabs", b.testTenTabs)
	t.Run("tabs that lag", b.testLag)
}

// app serves a page that follows feeds with the client library, from an origin of its own. A
// policy, if there is one, is the page's Content-Security-Policy.
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

// start opens a tab with the app, which follows a feed at once, also after a reload. The
// library comes from the app's origin, or from where `library` says.
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

// fill makes the library as quick as a test wants it.
func fill(o options) options {
	filled := options{"minBackoff": 10, "maxBackoff": 200, "idleTimeout": 2500} // the services here send a heartbeat each second
	for name, value := range o {
		filled[name] = value
	}
	return filled
}

func (p *tab) numbers() []int { return eval[[]int](p, "numbers()") }

// wantNumbers waits for the last of the numbers and compares all that came, over all lives of
// the page. Nobody was told of a gap.
func (p *tab) wantNumbers(who string, want []int) {
	p.t.Helper()
	wantExactly(p.t, who, want, p.numbers)
	if gaps := eval[int](p, "gaps.length"); gaps > 0 {
		p.t.Errorf("%s was told of %d gaps", who, gaps)
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

// since are the numbers of a user after one of them.
func since(after, last int) []int {
	return slices.DeleteFunc(numbersOf(me, last), func(n int) bool { return n <= after })
}

// What was handled is noted where a reload leaves it, in the same task.
const appHTML = `<!doctype html><meta charset="utf-8"><title>app</title><script type="module">
const query = new URLSearchParams(location.search), options = JSON.parse(query.get('options'));
const { connect } = await import(query.get('client') || '/client.js');
let kept = '';
const notes = {
  get text() { try { return sessionStorage.getItem('notes') || ''; } catch { return kept; } },
  set text(v) { try { sessionStorage.setItem('notes', v); } catch { kept = v; } },
};
Object.assign(window, { opens: [], gaps: [], closes: [], errors: [], events: [], reasons: [], waits: [], fetches: 0, slow: 0 });
window.numbers = () => notes.text.split(' ').filter(Boolean).map(Number);
if (options.storage === 'sessionStorage') options.storage = sessionStorage;
if (options.token) options.token = async reason => {
  reasons.push(reason || 'first');
  return (await fetch('/token')).text();
};
if (options.fetch !== null) options.fetch = (...args) => { fetches++; return fetch(...args); };
window.live = connect(query.get('feed'), { ...options,
  onEvent: async e => {
    if (slow) await new Promise(done => setTimeout(done, slow));
    notes.text += parseInt(e.data) + ' ';
    if (options.keep) events.push(e);
  },
  onOpen: o => { opens.push(o); }, onGap: g => { gaps.push(g); }, onClose: c => { closes.push(c); },
  onError: e => { errors.push(e.message); },
  onState: (s, more) => { if (s === 'waiting') waits.push(more.error.message); },
});
</script>`
