package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
)

const me = "/events?user=42"

// fromLog makes every resume use an ephemeral consumer.
func fromLog(o *server.Options) { o.Feeds[0].ReplayFromStore = true }

// bothWays runs a test with replays from the window and from consumers.
func bothWays(t *testing.T, test func(*testing.T, *harness)) {
	t.Run("auto", func(t *testing.T) { test(t, newHarness(t, nil)) })
	t.Run("consumer", func(t *testing.T) { test(t, newHarness(t, fromLog)) })
}

func TestResume_AfterDisconnect_ReceivesMissedAndLiveEvents(t *testing.T) {
	eachEngine(t, testResumeAfterDisconnectReceivesMissedAndLiveEvents)
}

func testResumeAfterDisconnectReceivesMissedAndLiveEvents(t *testing.T) {
	bothWays(t, func(t *testing.T, r *harness) {
		first := r.listen(me, "")
		first.want("tidemark.open")
		r.publish("notifications.user.42", 1, 3)
		first.wantNumbers(1, 3)
		first.cancel()
		r.publish("notifications.user.42", 4, 6)
		r.publish("notifications.user.43", 1, 3)
		r.publish("notifications.broadcast", 7, 8)
		r.awaitReady() // the tail has caught up, so that pending is exact
		second := r.listen(me, first.last)
		open := second.next()
		if field(open.Data, "resumed") != "true" || field(open.Data, "pending") != "5" || field(open.Data, "position") != first.last {
			t.Errorf("open: %s", open.Data)
		}
		second.wantNumbers(4, 8)
		r.publish("notifications.user.42", 9, 9)
		second.wantNumbers(9, 9)
	})
}

func TestResume_UnknownPosition_SendsGap(t *testing.T) {
	eachEngine(t, testResumeUnknownPositionSendsGap)
}

func testResumeUnknownPositionSendsGap(t *testing.T) {
	bothWays(t, func(t *testing.T, r *harness) {
		r.publish("notifications.broadcast", 1, 5)
		r.awaitReady()
		epoch := r.epoch()
		for id, want := range map[string][]string{
			"99-" + epoch:          {"tidemark.open", "tidemark.gap future", "6"},
			"2-zzzzzz":             {"tidemark.open", "tidemark.gap epoch", "1", "2", "3", "4", "5", "6"},
			"nonsense":             {"tidemark.open", "tidemark.gap malformed", "6"},
			"-1":                   {"tidemark.open", "tidemark.gap malformed", "6"},
			"18446744073709551615": {"tidemark.open", "tidemark.gap future", "6"},
			"3":                    {"tidemark.open", "4", "5", "6"},
			"0-" + epoch:           {"tidemark.open", "1", "2", "3", "4", "5", "6"},
		} {
			l := r.listen("/events", id)
			l.want(want[0]) // the connection stays open: the sixth event comes after the gap
			defer l.want(want[1:]...)
		}
		r.publish("notifications.broadcast", 6, 6)
	})
}

// epoch returns the epoch in positions of the stream.
func (r *harness) epoch() string {
	l := r.listen("/events", "")
	defer l.cancel()
	_, epoch, _ := strings.Cut(string(l.next().ID), "-")
	return epoch
}

func TestStream_RecreatedUnderLiveClients_SendsGap(t *testing.T) {
	eachEngine(t, testStreamRecreatedUnderLiveClientsSendsGap)
}

func testStreamRecreatedUnderLiveClientsSendsGap(t *testing.T) {
	bothWays(t, func(t *testing.T, r *harness) {
		live := r.listen(me, "")
		live.want("tidemark.open")
		r.publish("notifications.broadcast", 1, 3)
		live.wantNumbers(1, 3)
		before := live.last
		r.deleteStream()
		if _, err := r.js.CreateOrUpdateStream(t.Context(), testStream()); err != nil { // the node may have been faster
			t.Fatal(err)
		}
		r.publish("notifications.broadcast", 11, 12)
		live.want("tidemark.gap epoch")
		live.wantNumbers(11, 12)
		back := r.listen(me, before)
		back.want("tidemark.open", "tidemark.gap epoch", "11", "12")
		r.publish("notifications.user.42", 13, 13)
		live.wantNumbers(13, 13)
		back.wantNumbers(13, 13)
	})
}

func TestPurge_WhileConnectionsAreOpen_SendsGapOnlyForMissedEvents(t *testing.T) {
	bothWays(t, func(t *testing.T, r *harness) {
		live := r.listen(me, "")
		live.want("tidemark.open")
		r.publish("notifications.broadcast", 1, 5)
		live.wantNumbers(1, 5)
		if err := r.stream().Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.publish("notifications.broadcast", 6, 6)
		live.wantNumbers(6, 6) // it had received everything: no gap
	})
	t.Run("behind", func(t *testing.T) {
		r := newHarness(t, fromLog)
		r.publish("notifications.broadcast", 1, 5)
		if err := r.stream().Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.publish("notifications.broadcast", 6, 6)
		r.listen(me, "3").want("tidemark.open", "tidemark.gap trimmed", "6")
		r.listen(me, "5").want("tidemark.open", "6")
	})
}

// TestRetention_OvertakesAClient_SendsGap lets a limit trim the stream while a slow client catches up.
func TestRetention_OvertakesAClient_SendsGap(t *testing.T) {
	const stored, kept = 4_000, 50
	r := newHarness(t, fromLog)
	payload := strings.Repeat("x", 8<<10)
	for i := range stored {
		if _, err := r.js.PublishAsync("notifications.broadcast", []byte(fmt.Sprint(i+1, " ", payload))); err != nil {
			t.Fatal(err)
		}
	}
	<-r.js.PublishAsyncComplete()
	l := r.listen("/events", "0")
	l.want("tidemark.open")
	first := l.next() // 32 MB are queued behind it, more than the socket buffers hold
	time.Sleep(300 * time.Millisecond)
	cfg := testStream()
	cfg.MaxMsgs = kept
	if _, err := r.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	last, gaps := number(first.Data), 0
	for last < stored {
		ev := l.next()
		if ev.Type == "tidemark.gap" {
			gaps++
			last = int(sequence(field(ev.Data, "continues_after")))
			continue
		}
		if n := number(ev.Data); n != last+1 {
			t.Fatalf("event %d follows %d without a gap", n, last)
		}
		last++
	}
	if gaps == 0 {
		t.Error("no event was trimmed before the client read it; the test checks nothing")
	}
}

func number(data []byte) (n int) {
	_, _ = fmt.Sscanf(string(data), "%d", &n)
	return n
}

func sequence(position string) (seq uint64) {
	_, _ = fmt.Sscanf(position, "%d-", &seq)
	return seq
}

func TestResume_EventsDeletedInBetween_SendsPossibleGap(t *testing.T) {
	r := newHarness(t, fromLog)
	r.publish("notifications.broadcast", 1, 6)
	if err := r.stream().DeleteMsg(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	r.listen(me, "2").want("tidemark.open", "tidemark.gap possible", "3", "5", "6")
	r.listen(me, "4").want("tidemark.open", "5", "6")
}

// TestPoisonPills_StoredMessages_AreDelivered publishes messages that a JetStream client may take for a status of
// the server.
func TestPoisonPills_StoredMessages_AreDelivered(t *testing.T) {
	eachEngine(t, testPoisonPillsStoredMessagesAreDelivered)
}

func testPoisonPillsStoredMessagesAreDelivered(t *testing.T) {
	bothWays(t, func(t *testing.T, r *harness) {
		live := r.listen(me, "")
		live.want("tidemark.open")
		var want []string
		for i, status := range []string{"100", "404", "408", "409", "503", ""} {
			pill := nats.NewMsg("notifications.user.42")
			pill.Header["Status"] = []string{status}
			pill.Header.Set("Description", "Consumer Deleted")
			pill.Header.Set("Event-Type", "pill")
			if _, err := r.js.PublishMsg(t.Context(), pill); err != nil {
				t.Fatal(err)
			}
			r.publish("notifications.broadcast", i, i)
			want = append(want, "pill ", fmt.Sprint(i))
		}
		live.want(want...)
		r.listen(me, "0").want(append([]string{"tidemark.open"}, want...)...)
	})
}

func TestEventType_ReservedFromNATSProducer_IsRemoved(t *testing.T) {
	r := newHarness(t, nil)
	l := r.listen(me, "")
	l.want("tidemark.open")
	for _, typ := range []string{"tidemark.gap", "error", "open", "fine"} {
		msg := nats.NewMsg("notifications.user.42")
		msg.Header.Set("Event-Type", typ)
		msg.Data = []byte("x")
		if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	l.want("x", "x", "x", "fine x")
}

// TestConsumers_ReplaysEnd_AreDeleted aborts many replays and counts the remaining consumers on the server.
func TestConsumers_ReplaysEnd_AreDeleted(t *testing.T) {
	r := newHarness(t, fromLog)
	r.publish("notifications.broadcast", 1, 200)
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for i := range 50 {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.base+"/events", nil)
				req.Header.Set("Last-Event-ID", fmt.Sprint(i))
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = resp.Body.Read(make([]byte, 100*i))
				resp.Body.Close()
			}
		})
	}
	clients.Wait()
	r.eventually("only the tail's consumer", func() bool {
		info, err := r.stream().Info(t.Context(), jetstream.WithDeletedDetails(false))
		return err == nil && info.State.Consumers == 1
	})
}
