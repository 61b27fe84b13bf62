package e2e_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// testTokens lets tokens expire while events arrive.
func (e engines) testTokens(t *testing.T) {
	sign, file := tokens(t)
	origin := app(t, "", func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now().Unix()
		_, _ = w.Write([]byte(sign(fmt.Sprintf(`{"sub":"42","iat":%d,"exp":%d}`, now, now+3))))
	})
	s := serve(t, "--http.cors.origins="+origin, "--auth.identity=jwt", "--auth.jwt.secret_file="+file, "--auth.jwt.leeway=0s", "--auth.jwt.query", "--sse.heartbeat=1s")
	groups := map[string]tabs{
		"fetch":       e.start(t, origin, s.url("/events"), "", options{"token": true, "storage": "sessionStorage"}),
		"EventSource": e.start(t, origin, s.url("/events"), "", options{"token": true, "storage": "sessionStorage", "fetch": nil}),
	}
	for _, group := range groups {
		group.awaitOpened()
	}
	p := newProducer(t, s)
	last := 0
	for round := range 3 {
		for _, group := range groups {
			for _, tab := range group {
				tab.await(fmt.Sprintf("closes.filter(c => c.reason === 'token-expired').length > %d", round))
			}
		}
		p.publish(last+1, last+21)
		last += 21
	}
	// The token expires while no client is connected: EventSource cannot report why it is rejected.
	s.kill()
	expired := time.Now().Add(4 * time.Second)
	eventually(t, "tokens that have expired", func() bool { return time.Now().After(expired) })
	s.start()
	s.awaitReady()
	p.publish(last+1, last+21)
	last += 21
	for name, group := range groups {
		group.wantNumbers(name, numbersOf(me, last))
		for _, tab := range group {
			// EventSource does not report the rejection of an old token, so the library requests another token.
			if asked := eval[string](tab, "reasons.filter(r => r !== 'rejected').slice(0, 3).join()"); asked != "first,token-expired,token-expired" {
				t.Errorf("%s: %s asked for tokens because of %s", tab.engine, name, asked)
			}
		}
	}
	for _, tab := range groups["fetch"] {
		key := eval[string](tab, "Object.keys(sessionStorage).filter(k => k.startsWith('tidemark')).join()")
		if !regexp.MustCompile(`^tidemark [\w-]{22} http`).MatchString(key) {
			t.Errorf("%s: the position is kept as %q", tab.engine, key)
		}
	}
}

// testLibraryGap connects with a position of another incarnation of the stream.
func (e engines) testLibraryGap(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	p := newProducer(t, s)
	p.publish(1, 14)
	feed := s.url("/events?user=42")
	group := e.start(t, origin, feed, "", nil)
	group.awaitOpened()
	for _, tab := range group {
		tab.await("Object.keys(localStorage).some(k => k.startsWith('tidemark'))")
		eval[bool](tab, "live.close(), Object.keys(localStorage).filter(k => k.startsWith('tidemark')).forEach(k => localStorage.setItem(k, '3-zzzzzz')), true")
		tab.reload()
		tab.await("!!window.gaps && gaps.length === 1 && gaps[0].reason === 'epoch' && gaps[0].requested === '3-zzzzzz'")
	}
	p.publish(15, 21)
	for _, tab := range group {
		wantExactly(t, tab.engine+", behind the gap", numbersOf(me, 21), tab.numbers)
		if got := eval[string](tab, "JSON.stringify([gaps.length, errors])"); got != "[1,[]]" {
			t.Errorf("%s: %s", tab.engine, got)
		}
	}
}

// testLibraryData publishes data that a simple client would break.
func (e engines) testLibraryData(t *testing.T) {
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin)
	var group tabs
	for _, o := range []options{
		{"transport": "stream"}, {"transport": "poll"}, {"fetch": nil, "types": []string{"greeting", "größe.✓"}},
	} {
		o["keep"], o["storage"] = true, "sessionStorage"
		group = append(group, e.start(t, origin, s.url("/events?user=42"), "", o)...)
	}
	group.awaitOpened()
	want := newProducer(t, s).publishSpecialData()
	for _, tab := range group {
		tab.wantData("events", want, false)
		tab.await("events.every(e => e.subject === 'notifications.user.42' && Math.abs(Date.now() - Date.parse(e.time)) < 3600000)")
	}
}

// testNoStorage opens a page that may neither store data nor take locks.
func (e engines) testNoStorage(t *testing.T) {
	origin := app(t, "sandbox allow-scripts")
	s := serve(t, "--http.cors.origins=*", "--sse.heartbeat=1s")
	cutter := newProxy(t, s.httpAddr)
	for _, shared := range []bool{false, true} {
		group := e.start(t, origin, cutter.url("/events?user=42"), "", options{"shared": shared})
		for _, tab := range group {
			tab.await("live.state === 'open' && opens.length > 0")
			if eval[string](tab, "(() => { try { return localStorage ? 'has' : 'none'; } catch (e) { return e.name; } })()") != "SecurityError" {
				t.Fatalf("%s: the page has a storage", tab.engine)
			}
		}
		first := 1
		if shared {
			first = 29
		}
		p := newProducer(t, s)
		p.publish(first, first+13)
		cutter.cut(cutReset)
		p.publish(first+14, first+27)
		group.wantNumbers(fmt.Sprintf("without a storage (shared: %t)", shared), since(first-1, first+27))
	}
}
