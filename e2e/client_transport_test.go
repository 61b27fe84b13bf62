package e2e_test

import (
	"strings"
	"sync"
	"testing"
)

// testHeldBack uses the library behind a proxy that holds back each response until its end, for a while does
// not, and then does again. The service is killed while the library polls.
func (e engines) testHeldBack(t *testing.T) {
	for name, headersFirst := range map[string]bool{"whole responses": false, "bodies": true} {
		t.Run(name, func(t *testing.T) { e.testHeldBackBy(t, headersFirst) })
	}
}

func (e engines) testHeldBackBy(t *testing.T, headersFirst bool) {
	const polled, streamed, total = 280, 350, 420
	origin := app(t, "")
	s := serve(t, "--http.cors.origins="+origin, "--sse.heartbeat=1s")
	front := newHoldingFront(t, s, headersFirst)
	front.hold.Store(true)
	short := options{"firstByteTimeout": 1500, "streamRetry": 2000, "idleTimeout": 10000, "storage": "sessionStorage"}
	overEventSource := options{"fetch": nil}
	for name, value := range short {
		overEventSource[name] = value
	}
	group := e.start(t, origin, front.URL+"/events?user=42", "", short)
	group = append(group, e.start(t, origin, front.URL+"/events?user=42", "", overEventSource)...)
	group.awaitOpened()
	p := newProducer(t, s)
	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(1, polled) })
	p.awaitStored(polled / 2)
	s.kill()
	s.start()
	publishing.Wait()
	group.wantNumbers("behind a proxy that holds back responses", numbersOf(me, polled))
	for _, tab := range group {
		if n := eval[int](tab, "opens.length"); n > 0 {
			t.Errorf("%s received %d starts of streams through a proxy that holds them back", tab.engine, n)
		}
	}

	front.hold.Store(false)
	for _, tab := range group {
		tab.await("opens.length > 0")
	}
	p.publish(polled+1, streamed)
	group.wantNumbers("after the proxy has stopped to hold back responses", numbersOf(me, streamed))

	front.hold.Store(true)
	front.CloseClientConnections()
	p.publish(streamed+1, total)
	group.wantNumbers("after the proxy has begun again", numbersOf(me, total))

	forms := map[string]int{}
	for _, r := range front.recorded() {
		form, _, _ := strings.Cut(r.accept, ",")
		forms[form]++
	}
	if forms["application/json"] == 0 || forms["text/event-stream"] == 0 {
		t.Errorf("requests by Accept: %v, want polls and streams", forms)
	}
	t.Logf("requests by Accept: %v", forms)
}
