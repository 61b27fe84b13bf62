package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/server"
)

// startNATSWith runs a NATS server that disconnects clients with more than maxPending queued bytes.
func startNATSWith(t *testing.T, maxPending int64) *natsserver.Server {
	t.Helper()
	srv, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), MaxPending: maxPending,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return srv
}

// publishBroadcasts stores n events of size bytes.
func (r *harness) publishBroadcasts(n, size int) {
	r.t.Helper()
	data := bytes.Repeat([]byte("x"), size)
	for i := range n {
		if _, err := r.js.PublishAsync("notifications.broadcast", data); err != nil {
			r.t.Fatal(err)
		}
		if i%100 == 99 || i == n-1 {
			<-r.js.PublishAsyncComplete()
		}
	}
}

// replayFromAll opens from=all on a bare socket with a small receive buffer.
func (r *harness) replayFromAll(recvBuffer int) net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	if recvBuffer > 0 {
		_ = c.(*net.TCPConn).SetReadBuffer(recvBuffer)
	}
	if _, err := fmt.Fprintf(c, "GET /events?user=42&from=all HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// readEvents reads the events 1 to n from a connection, each once and in order.
func readEvents(c net.Conn, n int) error {
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Minute))
	lines := bufio.NewReaderSize(c, 64<<10)
	for next := 1; next <= n; {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return fmt.Errorf("before event %d: %w", next, err)
		}
		id, ok := bytes.CutPrefix(line, []byte("id: "))
		if !ok || bytes.HasPrefix(id, []byte("0-")) {
			continue
		}
		digits, _, _ := bytes.Cut(id, []byte("-"))
		if seq, err := strconv.Atoi(string(digits)); err != nil || seq != next {
			return fmt.Errorf("event %s received, want %d", id, next)
		}
		next++
	}
	return nil
}

// replayAll lets n clients read all events at once, and returns how long it took.
func (r *harness) replayAll(n, events int) time.Duration {
	r.t.Helper()
	begun := time.Now()
	var reading sync.WaitGroup
	for range n {
		c := r.replayFromAll(0)
		reading.Go(func() {
			defer c.Close()
			if err := readEvents(c, events); err != nil {
				r.t.Error(err)
			}
		})
	}
	reading.Wait()
	return time.Since(begun)
}

// TestReplayStorm_ManyClients_NodeStaysConnected replays for many clients at once. They request no more than the
// node's budget, and so less than the server queues for a connection. Each client receives each event.
func TestReplayStorm_ManyClients_NodeStaysConnected(t *testing.T) {
	const clients, events = 40, 2000
	nats := startNATSWith(t, 6<<20)
	opts := options(t, nats.ClientURL())
	withAdmin(&opts)
	opts.Window.Events, opts.ReplayBytes = 64, 3<<20
	r := startNode(t, opts)
	r.connect(nats.ClientURL())
	r.awaitReady()
	r.publishBroadcasts(events, 2000)
	r.replayAll(clients, events)
	if n := nats.NumSlowConsumers(); n != 0 {
		t.Errorf("NATS has disconnected %d slow consumers", n)
	}
	r.eventuallyScrape(map[string]float64{
		`replay_bytes`:         0,
		`replay_bytes_waiting`: 0,
	})
}

// heapInUse returns the bytes of live objects, without garbage.
func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestStalledReplays_MemoryIsBounded checks replays whose clients do not read. Such a replay occupies neither
// bytes of the budget nor a consumer, and less than 96 KiB in all (the NATS server is in the process, too). A
// client that resumes reading receives each event.
func TestStalledReplays_MemoryIsBounded(t *testing.T) {
	const clients, events, each = 100, 3000, 96 << 10
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Window.Events = 64
		o.SSE.WriteTimeout = time.Hour
	})
	r.publishBroadcasts(events, 1000)
	before := heapInUse()
	var first net.Conn
	for i := range clients {
		if c := r.replayFromAll(64 << 10); i == 0 {
			first = c
		}
	}
	r.eventually("the suspension of all replays", func() bool {
		m := r.scrape(r.admin("/metrics"))
		return m.value("replay_suspensions_total") >= clients && m.value("replay_bytes") == 0 && m.value(`consumers{stream="NOTIFICATIONS"}`) == 1
	})
	grown := heapInUse() - before
	t.Logf("a stalled replay occupies %d KiB", grown/clients>>10)
	if grown > clients*each {
		t.Errorf("%d stalled replays occupy %d KiB, want %d at most", clients, grown>>10, clients*each>>10)
	}
	if err := readEvents(first, events); err != nil {
		t.Error(err)
	}
}

// TestReplayStorm_Figures measures the effect of a storm of replays on other clients:
//
//	TIDEMARK_REPLAY_STORM=200 go test ./internal/server -run ReplayStorm_Figures -v -count=1
//
// The clients are in the process of the node, so only ratios within one run are meaningful.
func TestReplayStorm_Figures(t *testing.T) {
	clients, err := strconv.Atoi(os.Getenv("TIDEMARK_REPLAY_STORM"))
	if err != nil {
		t.Skip("a measurement; TIDEMARK_REPLAY_STORM is the number of clients")
	}
	const few, events, size = 25, 10_000, 2000
	nats := startNATSWith(t, 64<<20)
	opts := options(t, nats.ClientURL())
	opts.Window.Events = 64
	r := startNode(t, opts)
	r.connect(nats.ClientURL())
	r.awaitReady()
	r.publishBroadcasts(events, size)
	late := r.watchLateness()
	rate := func(n int) float64 {
		late()
		took := r.replayAll(n, events)
		perSecond := float64(n) * events * size / took.Seconds() / 1e6
		t.Logf("%d clients: %.0f MB/s, live events of another client at most %v late", n, perSecond, late())
		return perSecond
	}
	rate(few) // warm-up
	a, b := rate(few), rate(clients)
	t.Logf("%d clients read at %.2f times the rate of %d; NATS has disconnected %d slow consumers", clients, b/a, few, nats.NumSlowConsumers())
}

// watchLateness publishes an event each 20 ms for a client. It returns a function for the largest delay since its
// last call.
func (r *harness) watchLateness() (worst func() time.Duration) {
	r.t.Helper()
	live := r.listen("/events?user=7&only=1&subject=notifications.city.x", "")
	live.want("tidemark.open")
	stop := make(chan struct{})
	var largest atomic.Int64
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			_, _ = r.js.Publish(r.t.Context(), "notifications.city.x", fmt.Appendf(nil, "%d", time.Now().UnixNano()))
		}
	})
	work.Go(func() {
		for ev := range live.events {
			if sent, err := strconv.ParseInt(string(ev.Data), 10, 64); err == nil {
				largest.Store(max(largest.Load(), time.Now().UnixNano()-sent))
			}
		}
	})
	r.t.Cleanup(func() {
		close(stop)
		live.cancel()
		work.Wait()
	})
	return func() time.Duration { return time.Duration(largest.Swap(0)) }
}
