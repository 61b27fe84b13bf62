package feedhttp_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

var streamHeaders = http.Header{
	"Content-Type":                 {"text/event-stream; charset=utf-8"},
	"Cache-Control":                {"no-store, no-transform"},
	"X-Accel-Buffering":            {"no"},
	"X-Content-Type-Options":       {"nosniff"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Vary":                         {"Accept, Accept-Encoding, Origin, Cookie, Authorization"},
}

func TestHeaders_Get_ForEventStreams(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		for _, accept := range []string{"text/event-stream", "", "*/*", "text/html, */*;q=0.1"} {
			s := r.subscribe(t, "", "Accept", accept)
			got := s.resp.Header.Clone()
			got.Del("Date")
			if !maps.EqualFunc(got, streamHeaders, slices.Equal) {
				t.Errorf("Accept %q: headers %v", accept, got)
			}
			if s.resp.ContentLength != -1 {
				t.Errorf("Accept %q: a length of %d", accept, s.resp.ContentLength)
			}
		}
	})
}

func TestHead_AnyRequest_HasHeadersAlone(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		resp, body := r.answer(t, http.MethodHead, "/events?from=all")
		resp.Header.Del("Date")
		if resp.StatusCode != http.StatusOK || body != "" || !maps.EqualFunc(resp.Header, streamHeaders, slices.Equal) {
			t.Errorf("%s, headers %v, body %q", resp.Status, resp.Header, body)
		}
		if resp, _ := r.answer(t, http.MethodHead, "/events?from=yesterday"); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("HEAD of what GET refuses: %s", resp.Status)
		}
		if n := r.feed.Status().Subscriptions; n != 0 {
			t.Errorf("HEAD left %d subscriptions", n)
		}
	})
}

func TestMethods_Others_AreRefused(t *testing.T) {
	r := newHarness(t, setup{})
	for _, method := range []string{http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodDelete} {
		resp, body := r.answer(t, method, "/events")
		if got := resp.Header.Get("Allow"); got != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: Allow is %q", method, got)
		}
		if method == http.MethodOptions {
			if resp.StatusCode != http.StatusNoContent || body != "" {
				t.Errorf("%s: %s %q", method, resp.Status, body)
			}
			continue
		}
		if p := decodeProblem(t, resp, body); p.Status != http.StatusMethodNotAllowed || !strings.Contains(p.Detail, method) {
			t.Errorf("%s: %+v", method, p)
		}
	}
}

func TestWire_FirstBytes_AreAsDocumented(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		r.Publish("n.all", "greeting", []byte("first line\r\nsecond"))
		r.Publish("n.other", "", []byte("not for us"))
		r.Publish("n.user.42", "", []byte{0xff, 0})
		r.level(t)
		s := r.raw(t, "?from=all&user=42")
		for _, want := range []string{
			"retry: N\nevent: tidemark.open\n" +
				`data: {"stream":"NEWS","position":"0-e1","resumed":false,"pending":2,"subjects":["n.all","n.user.42"]}` +
				"\nid: 0-e1\n\n",
			"event: greeting\ndata: first line\ndata: second\nid: 1-e1\n\n",
			"data: data:application/octet-stream;base64,/wA=\nid: 3-e1\n\n",
		} {
			if got := tame(s.block(t)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// A connection begins with the delay that its client waits if the node dies. Only the tidemark.close of
// rejected clients has a longer one.
func TestRetry_WithoutOptions_IsAboutASecondUntilAClose(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{Admission: feedhttp.NewAdmission(feedhttp.Limits{PerUser: 1})}})
		s, _ := r.opened(t, "", "X-User", "42")
		if retry, ok := s.Retry(); !ok || retry < 500*time.Millisecond || retry > 1500*time.Millisecond {
			t.Errorf("a connection begins with retry %v, %v", retry, ok)
		}
		away := r.subscribe(t, "", "X-User", "42")
		if last := away.ended(t); last.Type != feedhttp.TypeClose {
			t.Errorf("a second connection of the user ends with %q", last.Type)
		}
		if retry, ok := away.Retry(); !ok || retry < 10*time.Second || retry > 30*time.Second {
			t.Errorf("a client that is sent away for a limit has retry %v, %v", retry, ok)
		}
	})
}

func TestRetry_ManyConnections_IsJittered(t *testing.T) {
	r := newHarness(t, setup{proto: "h2c", opts: feedhttp.SubscribeOptions{Retry: 4 * time.Second}})
	seen := map[time.Duration]bool{}
	for range 60 {
		s, _ := r.opened(t, "")
		retry, ok := s.Retry()
		if !ok || retry < 2*time.Second || retry > 6*time.Second {
			t.Errorf("retry %v, %v", retry, ok)
		}
		seen[retry] = true
	}
	// 60 draws from 4000 values: 30 of one kind would be no lot.
	if len(seen) < 30 {
		t.Errorf("only %d values in 60: %v", len(seen), slices.Collect(maps.Keys(seen)))
	}
}

func TestOpen_EachStart_ReportsIt(t *testing.T) {
	r := newHarness(t, setup{})
	r.publish(4, "n.all")
	r.publish(3, "n.user.7")
	r.level(t)
	for _, c := range []struct {
		query    string
		header   string
		position string
		resumed  bool
		pending  uint64
		subjects string
	}{
		{"", "", "7-e1", false, 0, "n.all"},
		{"?from=all", "", "0-e1", false, 4, "n.all"},
		{"?from=3", "", "2-e1", false, 2, "n.all"},
		{"?last_event_id=3-e1", "", "3-e1", true, 1, "n.all"},
		{"?last_event_id=3", "", "3-e1", true, 1, "n.all"},
		{"?user=7", "2-e1", "2-e1", true, 5, "n.all n.user.7"},
		{"?user=7&only=1&subject=n.user.7", "2-e1", "2-e1", true, 3, "n.user.7"},
		{"?subject=n.topic.>&subject=n.topic.a&subject=n.city.x", "7-e1", "7-e1", true, 0, "n.all n.city.x n.topic.>"},
	} {
		s := r.subscribe(t, c.query, lastEventID(c.header)...)
		var open feedhttp.OpenEvent
		ev := s.control(t, feedhttp.TypeOpen, &open)
		if open.Stream != "NEWS" || open.Position != c.position || string(ev.ID) != c.position ||
			open.Resumed != c.resumed || open.Pending != c.pending || strings.Join(open.Subjects, " ") != c.subjects {
			t.Errorf("%s after %q: %+v with id %s, want %+v", c.query, c.header, open, ev.ID, c)
		}
	}
}

func lastEventID(id string) []string {
	if id == "" {
		return nil
	}
	return []string{"Last-Event-ID", id}
}

// The header goes before the query, and last_event_id before from, also before an invalid from: an
// EventSource repeats its first URL with each reconnect.
func TestStart_SeveralSources_StrongestCounts(t *testing.T) {
	r := newHarness(t, setup{})
	r.publish(9, "n.all")
	r.level(t)
	for _, c := range []struct{ query, header, position string }{
		{"?last_event_id=4-e1&from=2", "6-e1", "6-e1"},
		{"?last_event_id=4-e1&from=2", "", "4-e1"},
		{"?last_event_id=&from=2", "", "1-e1"},
		{"?from=nonsense", "6-e1", "6-e1"},
		{"?last_event_id=4-e1&from=nonsense", "", "4-e1"},
		{"?lastEventId=4-e1", "", "4-e1"},
		{"?lastEventID=4-e1", "", "4-e1"},
		{"?Last-Event-ID=4-e1", "", "4-e1"},
		{"?last-event-id=4-e1", "", "4-e1"},
		{"?evs_last_event_id=4-e1", "", "4-e1"},
		{"?last%5Fevent%5Fid=4-e1", "", "4-e1"},
		{"?lastEventId=4-e1&from=2", "6-e1", "6-e1"},
		{"?lastEventId=&from=2", "", "1-e1"},
		// Of several the highest of the present epoch, or else the first.
		{"?last_event_id=3-e1&lastEventId=5-e1", "", "5-e1"},
		{"?last_event_id=5-e1&lastEventId=3-e1", "", "5-e1"},
		{"?lastEventId=2-e1&lastEventId=4-e1&lastEventId=3-e1", "", "4-e1"},
		{"?last_event_id=9-e0&lastEventId=5-e1", "", "5-e1"},
		{"?last_event_id=5&lastEventId=4-e1", "", "5-e1"},
		{"?last_event_id=rubbish&lastEventId=5-e1", "", "5-e1"},
		{"?last_event_id=&lastEventId=5-e1&lastEventID=", "", "5-e1"},
		{"?last_event_id=8-e0&lastEventId=7-e9", "", "0-e1"},
		{"?last_event_id=3-e1&lastEventId=5-e1", "6-e1", "6-e1"},
	} {
		if _, open := r.opened(t, c.query, lastEventID(c.header)...); open.Position != c.position {
			t.Errorf("%s with the header %q begins at %s, want %s", c.query, c.header, open.Position, c.position)
		}
	}
}

// TestSeveralPositions_NoneOfTheEpoch_FirstCounts: the gap repeats the position that counted.
func TestSeveralPositions_NoneOfTheEpoch_FirstCounts(t *testing.T) {
	r := newHarness(t, setup{})
	r.publish(3, "n.all")
	r.level(t)
	for query, first := range map[string]string{
		"?lastEventId=8-e0&last_event_id=7-e9":       "8-e0",
		"?last_event_id=7-e9&lastEventId=8-e0":       "7-e9",
		"?evs_last_event_id=rubbish&lastEventId=7-x": "rubbish",
	} {
		s, _ := r.opened(t, query)
		var gap feedhttp.GapEvent
		if s.control(t, feedhttp.TypeGap, &gap); gap.Requested != first {
			t.Errorf("%s: a gap after %q, want %q", query, gap.Requested, first)
		}
	}
}

// A parameter that merely looks like a position would be ignored, and events lost silently.
func TestPositionParameter_Unknown_Refused(t *testing.T) {
	r := newHarness(t, setup{})
	for _, name := range []string{"lasteventid", "LAST_EVENT_ID", "LastEventId", "event_id", "eventId", "last-Event_id", "lastMsgEventId", "since", "Since", "cursor", "offset", "off-set", "_cursor"} {
		for _, header := range [][]string{nil, {"Last-Event-ID", "1-e1"}} {
			resp, body := r.answer(t, http.MethodGet, "/?user=42&"+name+"=1-e1", header...)
			if p := decodeProblem(t, resp, body); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, name) || !strings.Contains(p.Detail, "?last_event_id=") {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
	for _, name := range []string{"id", "event", "sinceRelease", "cursors", "offset2", "eventids", "last_event"} {
		r.opened(t, "?"+name+"=1-e1")
	}
}

func TestFrom_EachForm_StartsThere(t *testing.T) {
	r := newHarness(t, setup{})
	r.publish(2, "n.all")     // 1 2
	r.publish(2, "n.topic.a") // 3 4
	r.publish(2, "n.topic.b") // 5 6
	r.publish(2, "n.other")   // 7 8
	r.level(t)
	past, future := time.Now().Add(-time.Hour).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339)
	everything := ids("e1", 1, 6)
	type expectation struct {
		from string
		want []string
	}
	cases := []expectation{
		{"", nil}, {"new", nil}, {"all", everything},
		{"last", []string{"2-e1", "4-e1", "6-e1"}},
		{"0", everything}, {"1", everything}, {"4", ids("e1", 4, 6)}, {"7", nil},
		{past, everything}, {future, nil},
		{"1h", everything}, {"90s", everything}, {"7d", everything}, {"0s", nil},
	}
	streams := make([]*stream, len(cases))
	for i, c := range cases {
		streams[i], _ = r.opened(t, "?subject=n.topic.*&from="+url.QueryEscape(c.from))
	}
	r.publish(1, "n.all") // 9 follows in every case
	for i, c := range cases {
		t.Logf("from=%s", c.from)
		streams[i].want(t, append(c.want, "9-e1")...)
	}
}

func TestFrom_Invalid_IsRefused(t *testing.T) {
	r := newHarness(t, setup{})
	for _, from := range []string{"yesterday", "-1", "-5m", "1.5", "NEW", "2026-01-31", "99999999999999999999", "12-e1", "all "} {
		resp, body := r.answer(t, http.MethodGet, "/events?from="+url.QueryEscape(from))
		if p := decodeProblem(t, resp, body); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, "from") {
			t.Errorf("from=%s: %+v", from, p)
		}
	}
}

func TestStart_PositionNotAvailable_GapFollowsOpen(t *testing.T) {
	log := feedtest.NewMemStore()
	for range 10 {
		log.Publish("n.all", "", []byte("x"))
	}
	log.Trim(6)
	r := newHarness(t, setup{log: log, opts: feedhttp.SubscribeOptions{ReplayFromStore: true}})
	long := strings.Repeat("9", 200)
	for _, c := range []struct {
		id     string
		openID string // the position of a client that disconnects before the gap
		gap    feedhttp.GapEvent
		then   []string
	}{
		{"3-e1", "3-e1", feedhttp.GapEvent{Reason: feed.Trimmed, Requested: "3-e1", FirstAvailable: "6-e1", ContinuesAfter: "5-e1"}, ids("e1", 6, 10)},
		{"3", "3-e1", feedhttp.GapEvent{Reason: feed.Trimmed, Requested: "3-e1", FirstAvailable: "6-e1", ContinuesAfter: "5-e1"}, ids("e1", 6, 10)},
		{"11-e1", "11-e1", feedhttp.GapEvent{Reason: feed.Future, Requested: "11-e1", FirstAvailable: "6-e1", ContinuesAfter: "10-e1"}, nil},
		{"8-old", "8-old", feedhttp.GapEvent{Reason: feed.NewEpoch, Requested: "8-old", FirstAvailable: "6-e1", ContinuesAfter: "5-e1"}, ids("e1", 6, 10)},
		{"x\ty", "", feedhttp.GapEvent{Reason: feed.Malformed, Requested: "x\ty", FirstAvailable: "6-e1", ContinuesAfter: "10-e1"}, nil},
		{long, "", feedhttp.GapEvent{Reason: feed.Malformed, Requested: long[:128], FirstAvailable: "6-e1", ContinuesAfter: "10-e1"}, nil},
	} {
		s := r.subscribe(t, "", "Last-Event-ID", c.id)
		var open feedhttp.OpenEvent
		if ev := s.control(t, feedhttp.TypeOpen, &open); string(ev.ID) != c.openID || open.Resumed || open.Position != c.gap.ContinuesAfter {
			t.Errorf("%s: open %+v with the id %q", c.id, open, ev.ID)
		}
		var gap feedhttp.GapEvent
		if ev := s.control(t, feedhttp.TypeGap, &gap); string(ev.ID) != c.gap.ContinuesAfter || gap != c.gap {
			t.Errorf("%s: %+v with the id %q, want %+v", c.id, gap, ev.ID, c.gap)
		}
		s.want(t, c.then...)
	}
}

func TestGap_StreamReplaced_IsReported(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		s, _ := r.opened(t, "")
		r.publish(2, "n.all")
		s.want(t, "1-e1", "2-e1")
		r.Recreate()
		r.publish(2, "n.all")
		var gap feedhttp.GapEvent
		s.control(t, feedhttp.TypeGap, &gap)
		if gap.Reason != feed.NewEpoch || gap.Requested != "2-e1" || gap.ContinuesAfter != "0-e2" {
			t.Errorf("%+v", gap)
		}
		s.want(t, "1-e2", "2-e2")
	})
}
