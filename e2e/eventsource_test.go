package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestEventSource runs the EventSource of the browsers, which no update of Tidemark can change.
func TestEventSource(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	t.Run("comes back", e.testComesBack)
	t.Run("exact data", e.testExactData)
	t.Run("gap", e.testGap)
	t.Run("eight on a page", e.testEight)
	t.Run("eight on a page, self-signed", e.testSelfSigned)
	t.Run("responses to a reconnect", e.testReconnectResponses)
}

// follow opens an EventSource in a recorder's page and waits for its first tidemark.open.
func (p *tab) follow(url string, types ...string) (source int) {
	p.t.Helper()
	args := fmt.Sprintf("%q", url)
	for _, typ := range types {
		args += fmt.Sprintf(", %q", typ)
	}
	source = eval[int](p, "follow("+args+"); heard.length - 1")
	p.await(fmt.Sprintf("heard[%d].opens.length > 0", source))
	return source
}

// await polls until an expression is true.
func (p *tab) await(js string) {
	p.t.Helper()
	eventually(p.t, p.engine+": "+js, func() bool { return eval[bool](p, js) })
}

// wantExactly waits for the last number and compares all that were received.
func (p *tab) wantExactly(source int, want []int) {
	p.t.Helper()
	numbers := func() []int { return eval[[]int](p, fmt.Sprintf("numbers(%d)", source)) }
	wantExactly(p.t, fmt.Sprintf("EventSource %d of %s", source, p.engine), want, numbers)
	p.t.Logf("EventSource %d of %s: %d events over %d connections", source, p.engine, len(numbers()), eval[int](p, fmt.Sprintf("heard[%d].opens.length", source)))
}

// testComesBack cuts one EventSource repeatedly, and kills the service of it and of an EventSource without a
// proxy, which finds the port closed.
func (e engines) testComesBack(t *testing.T) {
	const total, kills = 805, 2
	origin := recorder(t)
	s := serve(t, "--http.cors.origins="+origin)
	cutter := newProxy(t, s.httpAddr)
	pages := e.open(t, origin)
	const cutOne, directOne = 0, 1
	for _, page := range pages {
		eval[bool](page, "revive = true") // Firefox gives up at a closed port: see testReconnectResponses
		page.follow(cutter.url("/events?user=42"))
		page.follow(s.url("/events?user=42"))
	}

	p := newProducer(t, s)
	var chaos, publishing sync.WaitGroup
	over := make(chan struct{})
	chaos.Go(func() { cutOften(over, cutter, noticedCuts) })
	publishing.Go(func() { p.publish(1, total-1) })
	for i := range kills {
		p.awaitStored((i + 1) * total / (kills + 1))
		s.kill()
		for _, page := range pages {
			refused := eval[int](page, fmt.Sprintf("heard[%d].errors", directOne)) + 2
			page.await(fmt.Sprintf("heard[%d].errors > %d", directOne, refused))
		}
		s.start()
	}
	publishing.Wait()
	close(over)
	chaos.Wait()
	p.publish(total, total)

	for _, page := range pages {
		for _, source := range []int{cutOne, directOne} {
			page.wantExactly(source, numbersOf(me, total))
			h := fmt.Sprintf("heard[%d]", source)
			if !eval[bool](page, h+".opens.slice(1).every(o => o.resumed) && "+h+".gaps.length === 0") {
				t.Errorf("EventSource %d of %s was not resumed: %s", source, page.engine, eval[string](page, "JSON.stringify(["+h+".opens, "+h+".gaps])"))
			}
			revived := eval[int](page, h+".revived")
			if revived > 0 && page.engine != firefoxEngine {
				t.Errorf("EventSource %d of %s gave up %d times", source, page.engine, revived)
			}
			t.Logf("EventSource %d of %s gave up %d times", source, page.engine, revived)
		}
	}
	p.checkStored(total)
}

// testExactData publishes data that a simple server would break.
func (e engines) testExactData(t *testing.T) {
	origin := recorder(t)
	s := serve(t, "--http.cors.origins="+origin)
	pages := e.open(t, origin)
	for _, page := range pages {
		page.follow(s.url("/events?user=42"), "greeting", "größe.✓")
	}
	want := newProducer(t, s).publishSpecialData()
	for _, page := range pages {
		page.wantData("heard[0].events", want, page.engine == firefoxEngine)
	}
}

// testGap connects with positions that cannot be resumed: the page receives the gap, and then live events.
func (e engines) testGap(t *testing.T) {
	origin := recorder(t)
	s := serve(t, "--http.cors.origins="+origin)
	p := newProducer(t, s)
	p.publish(1, 14)
	pages := e.open(t, origin)
	want := map[string]string{"nonsense": "malformed", "999": "future", "3-zzzzzz": "epoch"}
	ids := slices.Sorted(maps.Keys(want)) // the sources of each page, in this order
	for _, page := range pages {
		for _, id := range ids {
			page.follow(s.url("/events?user=42&last_event_id=" + id))
		}
	}
	p.publish(15, 21)
	all := numbersOf(me, 21)
	for _, page := range pages {
		for source, id := range ids {
			reason, numbers := want[id], all[len(numbersOf(me, 14)):]
			if reason == "epoch" {
				numbers = all
			}
			page.wantExactly(source, numbers)
			if got := eval[string](page, fmt.Sprintf("heard[%d].gaps.map(g => g.reason + ' ' + g.requested).join()", source)); !strings.HasPrefix(got, reason+" "+id) {
				t.Errorf("%s: %s was told of the gaps %q, want %q", id, page.engine, got, reason)
			}
		}
	}
}
