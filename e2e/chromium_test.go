package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestChromium is about the one client that nobody can mend: the browser's own EventSource.
func TestChromium(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	t.Run("comes back", b.testComesBack)
	t.Run("exact data", b.testExactData)
	t.Run("gap", b.testGap)
	t.Run("eight on a page", b.testEight)
	t.Run("docs", b.testDocs)
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
	eventually(p.t, js, func() bool { return eval[bool](p, js) })
}

// wantExactly waits for the last of the numbers and compares all that came.
func (p *tab) wantExactly(source int, want []int) {
	p.t.Helper()
	numbers := func() []int { return eval[[]int](p, fmt.Sprintf("numbers(%d)", source)) }
	wantExactly(p.t, fmt.Sprintf("EventSource %d", source), want, numbers)
	p.t.Logf("EventSource %d: %d events over %d connections", source, len(numbers()), eval[int](p, fmt.Sprintf("heard[%d].opens.length", source)))
}

// testComesBack cuts one EventSource again and again, and kills the service under it and
// under one that has no proxy and so finds its port closed.
func (b *browser) testComesBack(t *testing.T) {
	const total, kills = 805, 2
	origin := recorder(t)
	s := serve(t, "--http.cors.origins="+origin)
	cutter := newProxy(t, s.httpAddr)
	page := b.open(t, origin)
	cutOne, directOne := page.follow(cutter.url("/events?user=42")), page.follow(s.url("/events?user=42"))

	p := newProducer(t, s)
	var chaos, publishing sync.WaitGroup
	over := make(chan struct{})
	chaos.Go(func() { cutOften(over, cutter, tellingCuts) })
	publishing.Go(func() { p.publish(1, total-1) })
	for i := range kills {
		p.awaitStored((i + 1) * total / (kills + 1))
		s.kill()
		refused := eval[int](page, fmt.Sprintf("heard[%d].errors", directOne)) + 3
		page.await(fmt.Sprintf("heard[%d].errors > %d", directOne, refused))
		s.start()
	}
	publishing.Wait()
	close(over)
	chaos.Wait()
	p.publish(total, total)

	for _, source := range []int{cutOne, directOne} {
		page.wantExactly(source, numbersOf(me, total))
		h := fmt.Sprintf("heard[%d]", source)
		if !eval[bool](page, h+".opens.slice(1).every(o => o.resumed) && "+h+".gaps.length === 0") {
			t.Errorf("EventSource %d was not resumed: %s", source, eval[string](page, "JSON.stringify(["+h+".opens, "+h+".gaps])"))
		}
	}
	p.checkStored(total)
}

// testExactData sends what a naive server breaks.
func (b *browser) testExactData(t *testing.T) {
	origin := recorder(t)
	s := serve(t, "--http.cors.origins="+origin)
	page := b.open(t, origin)
	source := page.follow(s.url("/events?user=42"), "greeting", "größe.✓")
	p := newProducer(t, s)
	// The stream takes 1 MiB with the headers.
	const limit = 1<<20 - 200
	large := strings.Repeat("0123456789 🌊 ~\n", limit/len("0123456789 🌊 ~\n"))
	var want []received
	for i, data := range []string{
		"plain", "", " leading space", "trailing newline\n", "\n\n", "two\nlines", "\nfirst empty", "event: fake\nid: 7\ndata: x\n\nretry: 1",
		"🌊🏄🏽‍♀️ \u00a0 \u2028 \ufeff", "\ufeffbom first", "null \x00 byte", `{"a":[1,"\n"]}`, large, "after the large one",
	} {
		typ := []string{"", "greeting", "größe.✓"}[i%3]
		msg := nats.NewMsg("notifications.user.42")
		msg.Data = []byte(data)
		if typ != "" {
			msg.Header.Set("Event-Type", typ)
		}
		if _, err := p.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		want = append(want, received{Type: map[bool]string{true: "message", false: typ}[typ == ""], Data: data})
	}
	page.await(fmt.Sprintf("heard[%d].events.length >= %d", source, len(want)))
	got := eval[[]received](page, fmt.Sprintf("heard[%d].events", source))
	for i := range want {
		if got[i].Type != want[i].Type || got[i].Data != want[i].Data {
			t.Errorf("event %d is %s %.80q (%d bytes), want %s %.80q (%d bytes)", i, got[i].Type, got[i].Data, len(got[i].Data), want[i].Type, want[i].Data, len(want[i].Data))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events came, want %d", len(got), len(want))
	}
	t.Logf("%d events are exact, the largest with %d bytes", len(got), len(large))
}

// received is an event as the recorder notes it.
type received struct {
	Type string `json:"type"`
	Data string `json:"data"`
	ID   string `json:"id"`
}

// testGap names positions that cannot be resumed. The page is told, and goes on.
func (b *browser) testGap(t *testing.T) {
	origin := recorder(t)
	s := serve(t, "--http.cors.origins="+origin)
	p := newProducer(t, s)
	p.publish(1, 14)
	page := b.open(t, origin)
	want := map[string]string{"nonsense": "malformed", "999": "future", "3-zzzzzz": "epoch"}
	sources := map[string]int{}
	for id := range want {
		sources[id] = page.follow(s.url("/events?user=42&last_event_id=" + id))
	}
	p.publish(15, 21)
	all := numbersOf(me, 21)
	for id, reason := range want {
		source, numbers := sources[id], all[len(numbersOf(me, 14)):]
		if reason == "epoch" {
			numbers = all
		}
		page.wantExactly(source, numbers)
		if got := eval[string](page, fmt.Sprintf("heard[%d].gaps.map(g => g.reason + ' ' + g.requested).join()", source)); !strings.HasPrefix(got, reason+" "+id) {
			t.Errorf("%s: the page was told of the gaps %q, want %q", id, got, reason)
		}
	}
}
