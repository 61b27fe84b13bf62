package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/testcluster"
	"github.com/tidemark/tidemark/pkg/client"
)

const export = "notifications.topic.export"

// publishExport stores numbered events of one subject, the last of them as its end if end is true.
func (p *producer) publishExport(from, to int, end bool) {
	p.t.Helper()
	for n := from; n <= to; n++ {
		msg := &nats.Msg{Subject: export, Data: []byte(body(n)), Header: nats.Header{nats.MsgIdHdr: {fmt.Sprint("export-", n)}}}
		if end && n == to {
			msg.Header.Set("Tidemark-End", "1")
		}
		if _, err := p.js.PublishMsg(p.t.Context(), msg); err != nil {
			p.t.Fatal(err)
		}
	}
}

// exportReader is a program that reads an export until its end.
type exportReader struct {
	opts client.Options

	mu   sync.Mutex
	got  []int
	last string
	gaps int
	err  error
	lost int
}

func (r *exportReader) read(ctx context.Context) {
	for ev, err := range client.Follow(ctx, r.opts) {
		r.mu.Lock()
		switch {
		case err != nil:
			r.err = err
		case ev.Kind == client.KindMessage:
			r.got, r.last = append(r.got, number(string(ev.Data))), ev.ID
		case ev.Kind == client.KindGap:
			r.gaps++
		}
		r.mu.Unlock()
	}
}

func (r *exportReader) received() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// TestUntilEnd_NodesAreKilled_ClientsContinueAndComplete kills the nodes one after the other while clients read a subject
// until its end: each client continues at the other node, receives each event once, and ends with the last one.
func TestUntilEnd_NodesAreKilled_ClientsContinueAndComplete(t *testing.T) {
	t.Parallel()
	const clients, batch = 6, 120
	topo := startTopology(t, testcluster.Options{Nodes: 2, Nginx: true, NodeEnv: func(i int) []string {
		return []string{"TIDEMARK_SSE_RETRY=100ms", "TIDEMARK_SSE_HEARTBEAT=1s", fmt.Sprint("TIDEMARK_WINDOW_EVENTS=", []int{20, 65536}[i])}
	}})
	p := newProducerAt(t, topo.NATSURL())
	p.publishExport(1, batch, false)

	ctx, cancel := context.WithTimeout(t.Context(), topologyTimeout)
	defer cancel()
	var readers []*exportReader
	var reading sync.WaitGroup
	for i := range clients {
		r := &exportReader{}
		r.opts = client.Options{
			URL: []string{topo.Nginx.URL, topo.Nginx.TLSURL}[i%2] + "/events?user=42&subject=" + export, UntilEnd: true,
			HTTPClient: direct, MinBackoff: 10 * time.Millisecond, MaxBackoff: 200 * time.Millisecond, IdleTimeout: 2500 * time.Millisecond,
			OnDisconnect: func(error, time.Duration) { r.lost++ },
		}
		readers = append(readers, r)
		reading.Go(func() { r.read(ctx) })
	}
	sub := subscribeBy(t, nil, topo.Nginx.URL+"/events", "--user=42", "--subject="+export, "--until-end")
	all := func(n int) func() bool {
		return func() bool {
			return len(sub.numbers()) >= n && !slices.ContainsFunc(readers, func(r *exportReader) bool { return r.received() < n })
		}
	}
	eventually(t, "every client has the first events", all(batch))
	for i, node := range topo.Nodes {
		node.Kill()
		p.publishExport(batch*(i+1)+1, batch*(i+2), false)
		eventually(t, fmt.Sprintf("every client continues without %s", node.Name()), all(batch*(i+2)))
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, node.Name()+" is ready", func() bool { return status(node.URL+"/readyz") == http.StatusOK })
	}
	topo.Nodes[0].Kill() // and at the moment of the end
	p.publishExport(3*batch+1, 4*batch, true)
	reading.Wait()

	var want []int
	for n := range 4 * batch {
		want = append(want, n+1)
	}
	for i, r := range readers {
		if r.err != nil || r.gaps > 0 || !slices.Equal(r.got, want) {
			t.Errorf("client %d ended with %v after %d events and %d gaps: %s", i, r.err, len(r.got), r.gaps, firstDifference(r.got, want))
		}
		if r.lost == 0 {
			t.Errorf("client %d has not lost a connection", i)
		}
	}
	if status := sub.wait(); status != 0 || !slices.Equal(sub.numbers(), want) {
		t.Errorf("tidemark subscribe ended with status %d after %d events", status, len(sub.numbers()))
	}

	if err := topo.Nodes[0].Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node is ready", func() bool { return status(topo.Nodes[0].URL+"/readyz") == http.StatusOK })
	for _, base := range []string{topo.Nginx.URL, topo.Nginx.TLSURL, topo.Nodes[0].URL, topo.Nodes[1].URL} {
		if got := reconnect(t, base+"/events?user=42&until=end&subject="+export, readers[0].last); got != http.StatusNoContent {
			t.Errorf("a reconnect behind the end is answered %d by %s", got, base)
		}
	}
}

// reconnect sends the request of an EventSource that reconnects, and returns the status.
func reconnect(t *testing.T, url, id string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", id)
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
