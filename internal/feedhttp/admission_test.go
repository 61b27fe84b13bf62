package feedhttp_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

// bounded is a harness with limits, and a short delay for rejected clients.
func bounded(t *testing.T, proto string, limits feedhttp.Limits) (*harness, *feedhttp.Admission) {
	t.Helper()
	a := feedhttp.NewAdmission(limits)
	return newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{Admission: a, RetryLater: time.Minute}}), a
}

// readRejection reads a response that has a close event alone.
func readRejection(t *testing.T, s *stream, reason feedhttp.CloseReason) {
	t.Helper()
	var c feedhttp.CloseEvent
	last := s.ended(t)
	if err := json.Unmarshal(last.Data, &c); err != nil || c.Reason != reason {
		t.Errorf("got %q %s, want the reason %s", last.Type, last.Data, reason)
	}
	if retry, ok := s.Retry(); !ok || retry.Milliseconds() != c.RetryMS || retry < 30*time.Second || retry > 90*time.Second {
		t.Errorf("retry %v beside %+v, want a minute or so", retry, c)
	}
	if s.LastEventID() != "" {
		t.Errorf("the position %q was told to a client that got no stream", s.LastEventID())
	}
}

func (r *harness) awaitStreams(t *testing.T, a *feedhttp.Admission, want int) {
	t.Helper()
	r.await(t, "the streams are counted", func() bool { n, _ := a.Counts(); return n == want })
}

func TestLimit_Connections_RejectsThoseBeyond(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r, a := bounded(t, proto, feedhttp.Limits{Connections: 2})
		first, _ := r.opened(t, "")
		r.opened(t, "")
		readRejection(t, r.subscribe(t, ""), feedhttp.CloseOverload)
		r.awaitStreams(t, a, 2)
		first.resp.Body.Close()
		r.awaitStreams(t, a, 1)
		r.opened(t, "") // there is room again
	})
}

func TestLimit_PerUser_RejectsThoseBeyond(t *testing.T) {
	r, a := bounded(t, "", feedhttp.Limits{PerUser: 1})
	first, _ := r.opened(t, "", "X-User", "42")
	readRejection(t, r.subscribe(t, "", "X-User", "42"), feedhttp.CloseLimit)
	r.opened(t, "", "X-User", "43")
	r.opened(t, "")
	r.opened(t, "") // without a user
	first.resp.Body.Close()
	r.awaitStreams(t, a, 3)
	r.opened(t, "", "X-User", "42")
}

func TestLimit_PerAddress_RejectsThoseBeyond(t *testing.T) {
	r, _ := bounded(t, "", feedhttp.Limits{PerAddress: 2})
	r.opened(t, "", "X-User", "1")
	r.opened(t, "")
	readRejection(t, r.subscribe(t, "", "X-User", "2"), feedhttp.CloseLimit)
}

func TestLimit_Replays_RejectsThoseThatReadTheStore(t *testing.T) {
	log := newLogDown()
	a := feedhttp.NewAdmission(feedhttp.Limits{Replays: 1})
	r := newHarness(t, setup{log: log, opts: feedhttp.SubscribeOptions{Admission: a, RetryLater: time.Minute, Heartbeat: beat}})
	waiting := r.subscribe(t, "?from=all")
	r.await(t, "it is counted", func() bool { _, n := a.Counts(); return n == 1 })
	readRejection(t, r.subscribe(t, "?from=all"), feedhttp.CloseOverload)
	r.SetDown(nil)
	waiting.control(t, feedhttp.TypeOpen, new(feedhttp.OpenEvent))
	waiting.want(t, "1-e1", "2-e1")
	r.await(t, "it is level", func() bool { _, n := a.Counts(); return n == 0 })
	r.opened(t, "?last_event_id=1-e1") // from the window
	again, _ := r.opened(t, "?from=all")
	again.want(t, "1-e1", "2-e1")
}

// A trusted proxy that names no client stands for all of its clients, which limits.connections bounds.
func TestLimitPerAddress_TrustedProxyWithoutForwardedFor_IsExempt(t *testing.T) {
	r, a := forwarded(t, "", feedhttp.Limits{Connections: 3, PerAddress: 1})
	for range 3 {
		r.opened(t, "")
	}
	readRejection(t, r.subscribe(t, ""), feedhttp.CloseOverload)
	if got := a.Refused(); got[feedhttp.RefusedPerAddress] != 0 || got[feedhttp.RefusedConnections] != 1 {
		t.Errorf("counted %v", got)
	}
}
