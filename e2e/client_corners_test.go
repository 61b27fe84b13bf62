package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/go-jose/go-jose/v4"
	"github.com/nats-io/nats.go"
)

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
