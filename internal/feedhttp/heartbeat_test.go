package feedhttp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

const beat = 5 * time.Millisecond

func beating(proto string) setup {
	return setup{proto: proto, opts: feedhttp.SubscribeOptions{Heartbeat: beat}}
}

func TestHeartbeat_QuietConnection_PositionsAndComments(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, beating(proto))
		s := r.raw(t, "")
		s.block(t) // open
		if got := s.block(t); got != ":\n\n" {
			t.Errorf("where nothing moved: %q", got)
		}
		r.publish(3, "n.others")
		for seq := 0; seq < 3; { // a heartbeat may be due between two events
			got := s.skip(t, ":\n\n")
			for seq++; seq < 3 && got != position(seq); seq++ {
			}
			if got != position(seq) {
				t.Fatalf("where the stream has moved: %q", got)
			}
		}
		if got := s.block(t); got != ":\n\n" {
			t.Errorf("after the position was told: %q", got)
		}
	})
}

func position(seq int) string {
	return fmt.Sprintf("event: tidemark.position\ndata: {\"position\":\"%[1]d-e1\"}\nid: %[1]d-e1\n\n", seq)
}

// skip returns the first block that is another.
func (s rawStream) skip(t *testing.T, block string) string {
	t.Helper()
	for {
		if got := s.block(t); got != block {
			return got
		}
	}
}

func TestHeartbeat_AsEvents_HasThePosition(t *testing.T) {
	r := newHarness(t, beating(""))
	s, _ := r.opened(t, "?heartbeat=event")
	for range 3 {
		var at feedhttp.PositionEvent
		if ev := s.control(t, feedhttp.TypePosition, &at); at.Position != "0-e1" || string(ev.ID) != "0-e1" {
			t.Errorf("%+v with the id %s", at, ev.ID)
		}
	}
	r.publish(1, "n.all")
	for ev := s.next(t); ev.Type != ""; ev = s.next(t) {
	}
	var at feedhttp.PositionEvent
	if s.control(t, feedhttp.TypePosition, &at); at.Position != "1-e1" || len(s.comments) > 0 {
		t.Errorf("after the event: %+v, comments %q", at, s.comments)
	}
}

func TestControlOff_Requested_ControlEventsAreComments(t *testing.T) {
	for _, query := range []string{"?control=off", "?control=off&heartbeat=event"} {
		r := newHarness(t, beating(""))
		s := r.raw(t, query, "Last-Event-ID", "rubbish")
		for _, want := range []string{
			"retry: N\n: tidemark.open {\"stream\":\"NEWS\",\"position\":\"0-e1\",\"resumed\":false,\"pending\":0,\"subjects\":[\"n.all\"]}\n\n",
			": tidemark.gap {\"reason\":\"malformed\",\"requested\":\"rubbish\",\"first_available\":\"1-e1\",\"continues_after\":\"0-e1\"}\n\n",
			":\n\n",
		} {
			if got := tame(s.block(t)); got != want {
				t.Errorf("%s: got %q, want %q", query, got, want)
			}
		}
		r.publish(1, "n.others")
		if got := s.skip(t, ":\n\n"); got != ": tidemark.position {\"position\":\"1-e1\"}\n\n" {
			t.Errorf("%s: got %q", query, got)
		}
		r.publish(1, "n.all")
		if got := s.skip(t, ":\n\n"); got != "data: x\nid: 2-e1\n\n" {
			t.Errorf("%s: got %q", query, got)
		}
		go func() { _ = r.handler.Drain(r.ctx, 0) }()
		if got := tame(s.skip(t, ":\n\n")); !strings.HasPrefix(got, "retry: N\n: tidemark.close {\"reason\":\"drain\",") {
			t.Errorf("%s: got %q", query, got)
		}
	}
}

func TestFlags_UnknownValue_AreRefused(t *testing.T) {
	r := newHarness(t, setup{})
	for query, names := range map[string]string{
		"?heartbeat=comment": "heartbeat", "?heartbeat=": "heartbeat", "?heartbeat=1": "heartbeat",
		"?control=on": "control", "?control": "control",
		"?only=0": "only", "?only=true": "only", "?only": "only",
		"?from=%zz": "query", "?user=1;from=all": "query",
	} {
		resp, body := r.answer(t, http.MethodGet, "/events"+query)
		if p := decodeProblem(t, resp, body); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, names) {
			t.Errorf("%s: %+v", query, p)
		}
	}
}
