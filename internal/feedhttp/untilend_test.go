package feedhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

const untilEnd = "?until=end&subject=n.topic.job"

// completes reads the rest of a response, which must end normally after tidemark.close, and returns the number of
// events before it.
func (s *stream) completes(t testing.TB) (events int) {
	t.Helper()
	for {
		ev := s.next(t)
		if ev.Type != feedhttp.TypeClose {
			events++
			continue
		}
		if !strings.Contains(string(ev.Data), `"reason":"complete"`) {
			t.Errorf("closed with %s", ev.Data)
		}
		if _, err := s.Next(); err != io.EOF {
			t.Errorf("the response ends with %v, want a normal end", err)
		}
		return events
	}
}

func TestUntilEnd_AllProtocols_EndNormallyAndAnswer204(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		r.publish(300, "n.topic.job") // more than one turn reads
		r.PublishEnd("n.topic.job", []byte("x"))
		r.level(t)
		s, open := r.opened(t, untilEnd)
		if n := s.completes(t); n != 301 || open.Pending != 301 {
			t.Errorf("%d events of %d pending, want 301", n, open.Pending)
		}
		for _, header := range [][]string{{"Last-Event-ID", s.LastEventID()}, {"Last-Event-ID", "301"}} {
			resp, body := r.answer(t, http.MethodGet, "/"+untilEnd, header...)
			if resp.StatusCode != http.StatusNoContent || body != "" || resp.Header.Get("Content-Type") != "" || resp.Header.Get("Cache-Control") == "" {
				t.Errorf("behind the end: %s %v %q", resp.Status, resp.Header, body)
			}
		}
		for _, header := range [][]string{{"Last-Event-ID", "300-e1"}, {"Last-Event-ID", "301-e2"}, {"Last-Event-ID", "999-e1"}, {"Last-Event-ID", "x"}} {
			again := r.subscribe(t, untilEnd, header...) // not behind the end, or not of this stream
			again.completes(t)
		}
		r.await(t, "the connections are counted", func() bool { return r.handler.Status().Disconnects["complete"] == 5 })
	})
}

func TestUntilEnd_ControlOff_EndsNormally(t *testing.T) {
	r := newHarness(t, setup{})
	r.PublishEnd("n.topic.job", []byte("x"))
	s := r.subscribe(t, untilEnd+"&control=off")
	s.want(t, "1-e1")
	if _, err := s.Next(); err != io.EOF {
		t.Errorf("the response ends with %v", err)
	}
	if last := s.comments[len(s.comments)-1]; !strings.Contains(last, `"reason":"complete"`) {
		t.Errorf("the last comment is %q", last)
	}
}

// Only a lookup in the store counts among Limits.LastWaiting, while it lasts.
func TestUntilEnd_StoreIsSlow_LookupsAreBounded(t *testing.T) {
	log := &slowLast{MemStore: feedtest.NewMemStore(), answer: make(chan struct{})}
	a := feedhttp.NewAdmission(feedhttp.Limits{LastWaitingPerAddress: 1})
	r := newHarness(t, setup{log: log.MemStore, behind: log, feed: feed.Options{WindowEvents: 1}, opts: feedhttp.SubscribeOptions{Admission: a, RetryLater: time.Minute}})
	r.PublishEnd("n.topic.job", []byte("x"))
	r.publish(2, "n.topic.job2")
	r.level(t)
	first := make(chan int)
	go func() {
		resp, err := r.do(http.MethodGet, "/"+untilEnd, "Last-Event-ID", "3-e1")
		if err != nil {
			first <- 0
			return
		}
		_ = resp.Body.Close()
		first <- resp.StatusCode
	}()
	r.await(t, "the first one waits", func() bool { return a.LastWaiting() == 1 })
	readRejection(t, r.subscribe(t, untilEnd, "Last-Event-ID", "3-e1"), feedhttp.CloseLimit)
	if n := a.Refused()[feedhttp.RefusedLastWaitingPerAddress]; n != 1 {
		t.Errorf("%d refusals are counted, want 1", n)
	}
	r.opened(t, "?until=end&subject=n.topic.job2", "Last-Event-ID", "3-e1") // from the window
	close(log.answer)
	if status := <-first; status != http.StatusNoContent {
		t.Errorf("the first one is answered %d, want 204", status)
	}
	if n := a.LastWaiting(); n != 0 {
		t.Errorf("%d are counted after the answers", n)
	}
}

// slowLast is a store that answers Last once answer is closed.
type slowLast struct {
	*feedtest.MemStore
	answer chan struct{}
}

func (s *slowLast) Last(ctx context.Context, subject string) (feed.Event, bool, error) {
	select {
	case <-s.answer:
	case <-ctx.Done():
		return feed.Event{}, false, context.Cause(ctx)
	}
	return s.MemStore.Last(ctx, subject)
}

// Without an answer of the store the connection opens, and is complete once the store answers.
func TestUntilEnd_StoreOutOfReach_CompletesLater(t *testing.T) {
	r := newHarness(t, setup{feed: feed.Options{WindowEvents: 1}, opts: feedhttp.SubscribeOptions{Heartbeat: beat}})
	r.PublishEnd("n.topic.job", []byte("x"))
	r.publish(2, "n.topic.other")
	r.level(t)
	r.SetDown(errors.New("away"))
	r.await(t, "the feed has noticed", func() bool { return r.feed.LostFor() > 0 })
	s, _ := r.opened(t, untilEnd, "Last-Event-ID", "3-e1")
	r.SetDown(nil)
	if n := s.completes(t); n != 0 {
		t.Errorf("%d events", n)
	}
}

// A connection with an open subject costs no lookups but one, however many events its other subjects get.
func TestUntilEnd_OpenSubject_IsLookedUpOnce(t *testing.T) {
	r := newHarness(t, setup{feed: feed.Options{WindowEvents: 1}})
	r.publish(1, "n.topic.job")
	r.publish(2, "n.topic.other")
	r.level(t)
	s, _ := r.opened(t, "?until=end&subject=n.topic.job&subject=n.topic.job2&from=new")
	for i := range 5 {
		r.PublishEnd("n.topic.job2", []byte("x"))
		s.want(t, fmt.Sprintf("%d-e1", 4+i))
	}
	if n := r.LookedUp(); n != 1 {
		t.Errorf("%d lookups, want 1", n)
	}
	r.PublishEnd("n.topic.job", []byte("x"))
	if n := s.completes(t); n != 1 {
		t.Errorf("%d events before the end, want 1", n)
	}
}

// Pages report that the subjects are complete: with the last event, mostly also where the page is full, and without events.
func TestUntilEnd_Pages_ReportComplete(t *testing.T) {
	for name, opts := range map[string]feed.Options{"window": {}, "store": {WindowEvents: 1}} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, setup{feed: opts})
			r.publish(3, "n.topic.job")
			r.PublishEnd("n.topic.job", []byte("x"))
			r.publish(2, "n.topic.other")
			r.level(t)
			for limit, pages := range map[int]int{1: 4, 2: 2, 3: 2, 4: 1, 100: 1} {
				var got []string
				position, n := "", 0
				for complete := false; !complete; n++ {
					p := r.poll(t, fmt.Sprintf("%s&limit=%d&last_event_id=%s", untilEnd, limit, position))
					if p.Complete && p.More || len(p.Events) == 0 && !p.Complete {
						t.Fatalf("limit %d: after %q the page %+v", limit, position, p)
					}
					got, position, complete = append(got, p.ids()...), p.Position, p.Complete
				}
				// A full page from the store may have the last event without a proof that it is the last.
				if equal(t, "events", got, ids("e1", 1, 4)); n != pages && (name == "window" || n != pages+1) {
					t.Errorf("limit %d: %d pages, want %d", limit, n, pages)
				}
			}
			if p := r.poll(t, untilEnd+"&last_event_id=6-e1&wait=5"); !p.Complete || len(p.Events) > 0 || p.Position != "6-e1" {
				t.Errorf("behind the end: %+v", p)
			}
			if p := r.poll(t, untilEnd+"2&wait=0"); p.Complete || p.Position == "" {
				t.Errorf("a subject without events: %+v", p)
			}
		})
	}
}

// A poll that waits is answered by the end.
func TestUntilEnd_PollWaits_EndAnswersIt(t *testing.T) {
	r := newHarness(t, setup{})
	r.publish(1, "n.topic.job")
	r.level(t)
	waiting := r.polling(t, untilEnd+"&last_event_id=1-e1&wait=50")
	r.PublishEnd("n.topic.job", []byte("x"))
	if p := <-waiting; !p.Complete || len(p.Events) != 1 {
		t.Errorf("the poll is answered with %+v", p)
	}
}

// Envelopes and lines end with tidemark.close, and the response normally.
func TestUntilEnd_EnvelopeAndLines_EndNormally(t *testing.T) {
	r := newHarness(t, setup{})
	r.publish(2, "n.topic.job")
	r.PublishEnd("n.topic.job", []byte("x"))
	r.level(t)
	s := r.subscribe(t, untilEnd+"&envelope=1")
	var open feedhttp.OpenEvent
	s.control(t, feedhttp.TypeOpen, &open)
	if n := s.completes(t); n != 3 {
		t.Errorf("%d envelopes, want 3", n)
	}
	resp, text := r.answer(t, http.MethodGet, "/events"+untilEnd, "Accept", "application/x-ndjson")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := lines[len(lines)-1]
	if len(lines) != 5 || !strings.Contains(last, `"tidemark.close"`) || !strings.Contains(last, `"reason":"complete"`) {
		t.Errorf("%s with %d lines: %s", resp.Status, len(lines), text)
	}
	if resp, _ := r.answer(t, http.MethodGet, "/events"+untilEnd, "Accept", "application/x-ndjson", "Last-Event-ID", "3-e1"); resp.StatusCode != http.StatusNoContent {
		t.Errorf("behind the end: %s", resp.Status)
	}
}
