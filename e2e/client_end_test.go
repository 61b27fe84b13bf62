package e2e_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// endings are the clients of testUntilEnd.
var endings = map[string]options{
	"fetch":       {"transport": "stream"},
	"EventSource": {"fetch": nil, "transport": "stream"},
	"polls":       {"transport": "poll"},
	"shared":      {"shared": true},
}

// testUntilEnd follows one subject until it ends. The service is killed in the middle.
func (e engines) testUntilEnd(t *testing.T) {
	const last = 60
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	front := newHoldingFront(t, s, false)
	feed := func(client string) string { return front.URL + "/events?client=" + client }
	groups := map[string]tabs{}
	for name, own := range endings {
		o := options{"until": "end", "subjects": []string{"notifications.topic.run"}}
		maps.Copy(o, own)
		if name != "shared" { // its tabs share a position
			o["storage"] = "sessionStorage"
		}
		groups[name] = e.start(t, origin, feed(name), "", o)
	}
	groups["shared"] = append(groups["shared"], e.start(t, origin, feed("shared"), "", options{
		"until": "end", "subjects": []string{"notifications.topic.run"}, "shared": true,
	})...)
	for _, group := range groups {
		for _, tab := range group {
			tab.await("live.state === 'open'")
		}
	}
	p := newProducer(t, s)
	var want []int
	for n := 1; n <= last; n++ {
		if n == last/2 {
			s.kill()
			s.start()
		}
		p.publishRun(n, n == last)
		want = append(want, n)
	}
	for name, group := range groups {
		for _, tab := range group {
			tab.await("ended === 1 && live.state === 'closed'")
		}
		group.wantNumbers(name, want)
	}

	// Only an EventSource without the library connects again.
	for _, b := range e {
		tab := b.open(t, origin+"/?"+url.Values{"feed": {feed("native") + "&until=end&subject=notifications.topic.run"}, "options": {`{"native":true}`}}.Encode())
		tab.await("!!window.live && live.state === 'closed'")
	}
	for _, r := range front.recorded() {
		if r.status == http.StatusNoContent && !strings.Contains(r.query, "client=native") {
			t.Errorf("the library sent a request after the end: %s", r.query)
		}
	}
}

// publishRun stores an event of the subject that ends.
func (p *producer) publishRun(n int, end bool) {
	p.t.Helper()
	msg := nats.NewMsg("notifications.topic.run")
	msg.Data = []byte(body(n))
	if end {
		msg.Header.Set("Tidemark-End", "1")
	}
	eventually(p.t, "an event is stored", func() bool {
		_, err := p.js.PublishMsg(p.t.Context(), msg, jetstream.WithMsgID("run-"+body(n)[:3]))
		return err == nil
	})
}
