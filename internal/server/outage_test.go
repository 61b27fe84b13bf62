package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// freeAddr returns an unused address, which stays reserved for the test.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// TestOutage_NATSRestarts_NoEventIsMissing restarts NATS while clients are live, and a client connects during the
// outage. No connection is closed, and no client receives a gap.
func TestOutage_NATSRestarts_NoEventIsMissing(t *testing.T) {
	eachEngine(t, testOutageNATSRestartsNoEventIsMissing)
}

func testOutageNATSRestartsNoEventIsMissing(t *testing.T) {
	addr, dir := freeAddr(t), t.TempDir()
	url, stopNATS := startNATS(t, addr, dir)
	r := startNode(t, options(t, url))
	r.connect(url)
	r.awaitReady()
	live := r.listen(me, "")
	live.want("tidemark.open")
	r.publish("notifications.user.42", 1, 3)
	live.wantNumbers(1, 3)

	stopNATS()
	r.eventually("not ready without NATS", func() bool { return r.status("/readyz") == http.StatusServiceUnavailable })
	if got := r.status("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz without NATS: %d", got)
	}
	r.eventually("a publish without NATS answers that it is not stored", func() bool {
		status, problem := r.post("/publish", `{"subject":"notifications.user.42","data":"lost?"}`)
		return status == http.StatusServiceUnavailable && problem["outcome"] == "not_stored" && strings.Contains(fmt.Sprint(problem["detail"]), "is not stored")
	})
	during := r.listen(me, "1") // the window still has the missed events
	during.want("tidemark.open", "2", "3")

	startNATS(t, addr, dir)
	r.awaitReady()
	r.publish("notifications.user.42", 4, 6)
	live.wantNumbers(4, 6)
	during.wantNumbers(4, 6)
	r.listen(me, "0").want("tidemark.open", "1", "2", "3", "4", "5", "6")
}

// TestStart_BeforeNATS_BecomesReady starts a node before NATS. A client that connects before NATS is ready waits,
// and then receives events.
func TestStart_BeforeNATS_BecomesReady(t *testing.T) {
	addr := freeAddr(t)
	r := startNode(t, options(t, "nats://"+addr))
	r.eventually("health", func() bool { return r.status("/healthz") == http.StatusOK })
	if got := r.status("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz before NATS: %d", got)
	}
	early := r.listen(me, "")
	time.Sleep(500 * time.Millisecond)
	url, _ := startNATS(t, addr, t.TempDir())
	early.want("tidemark.open")
	r.connect(url)
	r.awaitReady()
	r.publish("notifications.user.42", 1, 2)
	early.wantNumbers(1, 2)
}

// TestReplay_ThroughAnOutage_IsComplete disconnects NATS during the replay of a client.
func TestReplay_ThroughAnOutage_IsComplete(t *testing.T) {
	const stored = 3_000
	addr, dir := freeAddr(t), t.TempDir()
	url, stopNATS := startNATS(t, addr, dir)
	opts := options(t, url)
	fromLog(&opts)
	r := startNode(t, opts)
	r.connect(url)
	r.awaitReady()
	payload := strings.Repeat("x", 4<<10)
	for i := range stored {
		if _, err := r.js.PublishAsync("notifications.broadcast", []byte(fmt.Sprint(i+1, " ", payload))); err != nil {
			t.Fatal(err)
		}
	}
	<-r.js.PublishAsyncComplete()
	l := r.listen("/events", "0")
	l.want("tidemark.open")
	l.next()
	stopNATS()
	var back sync.WaitGroup
	back.Go(func() {
		time.Sleep(time.Second)
		startNATS(t, addr, dir)
	})
	for i := 2; i <= stored; i++ {
		if n := number(l.next().Data); n != i {
			t.Fatalf("received event %d, want %d", n, i)
		}
	}
	back.Wait()
}

// TestResume_UnderPublishing_IsComplete resumes again and again while thousands of events are stored.
func TestResume_UnderPublishing_IsComplete(t *testing.T) {
	eachEngine(t, testResumeUnderPublishingIsComplete)
}

func testResumeUnderPublishingIsComplete(t *testing.T) {
	for name, change := range map[string]func(*server.Options){
		"window":      nil,
		"consumer":    fromLog,
		"tiny window": func(o *server.Options) { o.Window.Events = 20 },
	} {
		t.Run(name, func(t *testing.T) {
			const total, clients = 4_000, 8
			r := newHarness(t, change)
			var work sync.WaitGroup
			work.Go(func() {
				for i := range total {
					if _, err := r.js.Publish(t.Context(), "notifications.broadcast", fmt.Appendf(nil, "%d", i+1)); err != nil {
						t.Error(err)
						return
					}
				}
			})
			for c := range clients {
				work.Go(func() {
					id, due := "0", 1
					for due <= total {
						l := r.listen("/events", id)
						for n := 0; n < 50+c*61 && due <= total; {
							ev := l.next()
							if strings.HasPrefix(ev.Type, "tidemark.") {
								if ev.Type == "tidemark.gap" {
									t.Errorf("client %d: gap %s", c, ev.Data)
								}
								continue
							}
							if number(ev.Data) != due {
								t.Errorf("client %d: received event %s, want %d", c, ev.Data, due)
								return
							}
							due++
							n++
						}
						id = l.last
						l.cancel()
					}
				})
			}
			work.Wait()
		})
	}
}
