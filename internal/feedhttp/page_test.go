package feedhttp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/sse"
)

// pageJSON is the answer of a poll.
type pageJSON struct {
	Events          []envelopeJSON      `json:"events"`
	Position        string              `json:"position"`
	Gaps            []feedhttp.GapEvent `json:"gaps"`
	More            bool                `json:"more"`
	Complete        bool                `json:"complete"`
	IdentityChanged bool                `json:"identity_changed"`
}

func (p pageJSON) ids() (ids []string) {
	for _, e := range p.Events {
		ids = append(ids, e.ID)
	}
	return ids
}

func decodePage(text string) (p pageJSON, err error) {
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&p); err != nil {
		return p, fmt.Errorf("%w: %.300s", err, text)
	}
	if p.Events == nil || p.Gaps == nil {
		return p, fmt.Errorf("a page without its lists: %s", text)
	}
	return p, nil
}

// page reads one page.
func (r *harness) page(query string, header ...string) (p pageJSON, err error) {
	resp, err := r.do(http.MethodGet, "/events"+query, append(header, "Accept", "application/json")...)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		return p, fmt.Errorf("%s as %q: %s, %w", resp.Status, resp.Header.Get("Content-Type"), text, err)
	}
	return decodePage(string(text))
}

func (r *harness) poll(t *testing.T, query string, header ...string) pageJSON {
	t.Helper()
	p, err := r.page(query, header...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// polling starts a poll, and returns its page when there is one.
func (r *harness) polling(t *testing.T, query string, header ...string) <-chan pageJSON {
	t.Helper()
	done := make(chan pageJSON, 1)
	before := len(r.handler.Connections())
	go func() {
		defer close(done)
		p, err := r.page(query, header...)
		if err != nil {
			t.Error(err)
		}
		done <- p
	}()
	r.await(t, "the poll waits", func() bool { return len(r.handler.Connections()) > before || len(done) > 0 })
	return done
}

// poll reads a page of a few events, and counts it if it is complete.
func (c *cutClient) poll(r *harness, n int64) error {
	query := url.Values{"limit": {strconv.Itoa(1 + rand.IntN(8))}, "from": {"all"}, "last_event_id": {c.last}, "wait": {strconv.Itoa(rand.IntN(2))}}
	resp, err := r.do(http.MethodGet, "/events?"+query.Encode(), "X-User", strconv.Itoa(c.user), "Accept", "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	c.lives++
	text, err := io.ReadAll(io.LimitReader(resp.Body, n))
	if err != nil {
		return err
	}
	p, err := decodePage(string(text))
	if err != nil && int64(len(text)) == n {
		return nil // the cut
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if len(p.Gaps) > 0 {
		return fmt.Errorf("gaps: %+v", p.Gaps)
	}
	for _, e := range p.Events {
		ev, err := e.event()
		if err != nil {
			return err
		}
		if err := c.take(ev); err != nil {
			return err
		}
	}
	if p.Position != "" {
		return c.take(sse.Event{Type: feedhttp.TypePosition, ID: []byte(p.Position)}) // which never falls
	}
	return nil
}

func TestPage_FromNew_HasThePositionForARenderedPage(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		r.publish(3, "n.all")
		r.publish(2, "n.others")
		r.level(t)
		p := r.poll(t, "?from=new&wait=0")
		if p.Position != "5-e1" || len(p.Events) > 0 || len(p.Gaps) > 0 || p.More {
			t.Errorf("%+v", p)
		}
		if again := r.poll(t, "?last_event_id="+p.Position); len(again.Events) > 0 || again.Position != "5-e1" || again.More {
			t.Errorf("nothing is new: %+v", again)
		}
		r.publish(2, "n.all")
		r.level(t)
		if next := r.poll(t, "", "Last-Event-ID", p.Position); !slices.Equal(next.ids(), ids("e1", 6, 7)) || next.Position != "7-e1" || next.More {
			t.Errorf("%+v", next)
		}
	})
}

func TestPage_Limit_ContinuesExactly(t *testing.T) {
	for name, with := range map[string]setup{"window": {}, "store": {feed: feed.Options{WindowEvents: 4}}} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, proto string) {
				with := with
				with.proto, with.log = proto, feedtest.NewMemStore()
				with.log.ReadBatch = 7
				r := newHarness(t, with)
				r.publish(25, "n.all")
				r.publish(3, "n.others")
				r.level(t)
				var got []string
				p := pageJSON{More: true}
				for pages := 0; p.More && pages < 10; pages++ {
					p = r.poll(t, "?from=all&limit=10&last_event_id="+p.Position)
					got = append(got, p.ids()...)
					if len(p.Events) > 10 || len(p.Gaps) > 0 {
						t.Errorf("%+v", p)
					}
				}
				equal(t, "events", got, ids("e1", 1, 25))
				if p.Position != "28-e1" {
					t.Errorf("the position is %s: it does not pass the events of others", p.Position)
				}
			})
		})
	}
}

func TestPage_LargeEvents_EndsBeforeItsLimit(t *testing.T) {
	r := newHarness(t, setup{})
	for range 12 {
		r.Publish("n.all", "", bytes.Repeat([]byte("x"), 300_000))
	}
	r.level(t)
	p := r.poll(t, "?from=all")
	if n := len(p.Events); n < 3 || n > 5 || !p.More {
		t.Errorf("%d events, more %t", n, p.More)
	}
	if next := r.poll(t, "?last_event_id="+p.Position); len(next.Events) == 0 || next.Events[0].ID != fmt.Sprintf("%d-e1", len(p.Events)+1) {
		t.Errorf("%d events", len(next.Events))
	}
}

func TestPage_Wait_ReturnsWithTheFirstEvent(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		r.publish(1, "n.all")
		r.level(t)
		done := r.polling(t, "?wait=55&last_event_id=1-e1")
		r.publish(1, "n.others")
		r.publish(1, "n.all")
		if p := <-done; !slices.Equal(p.ids(), []string{"3-e1"}) || p.Position != "3-e1" {
			t.Errorf("%+v", p)
		}
		if p := r.poll(t, "?wait=1&last_event_id=3-e1"); len(p.Events) > 0 || p.Position != "3-e1" || p.More {
			t.Errorf("nothing came: %+v", p)
		}
	})
}

// Proxies close silent connections.
func TestPage_Wait_SendsHeartbeats(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, beating(proto))
		resp, err := r.do(http.MethodGet, "/events?wait=55", "Accept", "application/json")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		start := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, start); err != nil || string(start) != "\n\n\n" {
			t.Fatalf("%q, %v", start, err)
		}
		r.publish(1, "n.all")
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := decodePage(string(text)); err != nil || !slices.Equal(p.ids(), []string{"1-e1"}) {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// A gap comes before the events of its page, without a wait.
func TestPage_Gap_PrecedesTheEvents(t *testing.T) {
	r := newHarness(t, setup{feed: feed.Options{WindowEvents: 4}})
	r.publish(20, "n.all")
	r.level(t)
	r.Trim(11)
	p := r.poll(t, "?wait=55&last_event_id=5-e1")
	if len(p.Gaps) != 1 || p.Gaps[0].Reason != feed.Trimmed || p.Gaps[0].Requested != "5-e1" || p.Gaps[0].ContinuesAfter != "10-e1" || !slices.Equal(p.ids(), ids("e1", 11, 20)) {
		t.Errorf("%+v", p)
	}
	if p := r.poll(t, "?wait=55&last_event_id=rubbish"); len(p.Gaps) != 1 || p.Gaps[0].Reason != feed.Malformed || len(p.Events) > 0 || p.Position != "20-e1" {
		t.Errorf("%+v", p)
	}
	if p := r.poll(t, "?wait=55&last_event_id=7-e0"); len(p.Gaps) != 1 || p.Gaps[0].Reason != feed.NewEpoch {
		t.Errorf("%+v", p)
	}
}

// The stream is created again while a poll waits.
func TestPage_GapWhileWaiting_AnswersAtOnce(t *testing.T) {
	r := newHarness(t, setup{})
	r.publish(3, "n.all")
	r.level(t)
	done := r.polling(t, "?wait=55&last_event_id=3-e1")
	r.Recreate()
	if p := <-done; len(p.Gaps) != 1 || p.Gaps[0].Reason != feed.NewEpoch || !strings.HasSuffix(p.Position, "-"+r.Epoch()) {
		t.Errorf("%+v", p)
	}
}

func TestPage_Parameters_OutOfRangeAreRefused(t *testing.T) {
	r := newHarness(t, setup{})
	for _, query := range []string{"limit=0", "limit=1001", "limit=-1", "limit=", "limit=1e3", "limit=" + strings.Repeat("9", 400), "limit=0x10", "wait=-1", "wait=56", "wait=", "wait=30s", "wait=NaN", "wait=99999999999999999999", "wait=1.5"} {
		name, _, _ := strings.Cut(query, "=")
		resp, body := r.answer(t, http.MethodGet, "/events?"+query, "Accept", "application/json")
		if p := decodeProblem(t, resp, body); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, "?"+name+"=") || !strings.Contains(p.Detail, " to ") {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

func TestPage_ParametersInAnotherForm_AreRefused(t *testing.T) {
	r := newHarness(t, setup{})
	for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
		for _, query := range []string{"limit=1", "wait=1", "limit=", "envelope=1&wait=0"} {
			resp, body := r.answer(t, http.MethodGet, "/events?"+query, "Accept", accept)
			if p := decodeProblem(t, resp, body); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, "Accept: application/json") {
				t.Errorf("%s, %s: %+v", accept, query, p)
			}
		}
	}
}

func TestFlag_GivenTwice_IsRefused(t *testing.T) {
	r := newHarness(t, setup{})
	for _, query := range []string{"until=end&until=end&subject=n.a", "only=1&only=1", "meta=1&meta=0"} {
		resp, body := r.answer(t, http.MethodGet, "/events?"+query)
		if p := decodeProblem(t, resp, body); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, "is given 2 times; send it once") {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

func TestPage_Limits_AreStatusCodesWithRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		limits feedhttp.Limits
		code   problem.Code
	}{
		"per user":    {feedhttp.Limits{PerUser: 1}, problem.RateLimited},
		"connections": {feedhttp.Limits{Connections: 1}, problem.Unavailable},
		"rate":        {feedhttp.Limits{ConnectsPerSecond: 1, ConnectsBurst: 1}, problem.RateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, proto string) {
				a := feedhttp.NewAdmission(c.limits)
				r := newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{Admission: a}})
				r.opened(t, "", "X-User", "7")
				resp, body := r.answer(t, http.MethodGet, "/events?wait=55", "X-User", "7", "Accept", "application/json")
				if name == "rate" && resp.StatusCode == http.StatusOK {
					t.Skip("the machine is too busy for two requests in a second")
				}
				p := decodeProblem(t, resp, body)
				if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); p.Code != c.code || err != nil || after < 1 {
					t.Errorf("%+v, Retry-After %q", p, resp.Header.Get("Retry-After"))
				}
			})
		})
	}
}

func TestPage_ReplayLimit_IsUnavailable(t *testing.T) {
	a := feedhttp.NewAdmission(feedhttp.Limits{Replays: 1})
	r := newHarness(t, setup{log: newLogDown(), opts: feedhttp.SubscribeOptions{Admission: a}})
	waiting := r.polling(t, "?wait=55&from=all")
	r.await(t, "the place is taken", func() bool { _, n := a.Counts(); return n == 1 })
	resp, body := r.answer(t, http.MethodGet, "/events?from=all", "Accept", "application/json")
	if p := decodeProblem(t, resp, body); p.Code != problem.Unavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", p)
	}
	r.SetDown(nil)
	if p := <-waiting; !slices.Equal(p.ids(), ids("e1", 1, 2)) {
		t.Errorf("%+v", p)
	}
}

// Within the wait the status is sent already: the page is empty, and the next poll gets the refusal.
func TestPage_RevokedWhileWaiting_IsEmptyAndTheNextRefused(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		revoked := make(chan struct{})
		check := func(auth.Grant) error {
			select {
			case <-revoked:
				return errors.New("revoked")
			default:
				return nil
			}
		}
		r := newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{Check: check}})
		r.publish(1, "n.all")
		r.level(t)
		done := r.polling(t, "?wait=55&last_event_id=1-e1", "X-User", "7")
		close(revoked)
		if n := r.handler.Revoke(auth.Revocation{User: "7"}, time.Now()); n != 1 {
			t.Fatalf("%d connections are revoked", n)
		}
		if p := <-done; len(p.Events) > 0 || p.Position != "1-e1" {
			t.Errorf("%+v", p)
		}
		resp, body := r.answer(t, http.MethodGet, "/events?wait=55", "X-User", "7", "Accept", "application/json")
		if p := decodeProblem(t, resp, body); p.Status != http.StatusUnauthorized {
			t.Errorf("%+v", p)
		}
	})
}

func TestPage_TokenExpires_EndsTheWait(t *testing.T) {
	identify := func(*http.Request) (auth.Identity, error) {
		return auth.Identity{Vars: map[string]string{"user": "7"}, Expires: time.Now().Add(50 * time.Millisecond)}, nil
	}
	r := newHarness(t, setup{opts: feedhttp.SubscribeOptions{Identify: identify}})
	r.publish(1, "n.all")
	r.level(t)
	if p := r.poll(t, "?wait=55&last_event_id=1-e1"); p.Position != "1-e1" || len(p.Events) > 0 {
		t.Errorf("%+v", p)
	}
}

func TestPage_Drain_EndsTheWait(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		r.publish(1, "n.all")
		r.level(t)
		done := r.polling(t, "?wait=55&last_event_id=1-e1")
		if err := r.handler.Drain(r.ctx, 0); err != nil {
			t.Fatal(err)
		}
		if p := <-done; p.Position != "1-e1" || len(p.Events) > 0 {
			t.Errorf("%+v", p)
		}
		resp, body := r.answer(t, http.MethodGet, "/events?wait=55", "Accept", "application/json")
		if p := decodeProblem(t, resp, body); p.Code != problem.Unavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%+v", p)
		}
	})
}

func TestPage_StatusAndList_CountTheForms(t *testing.T) {
	r := newHarness(t, setup{})
	r.opened(t, "")
	r.subscribe(t, "?envelope=1")
	r.subscribe(t, "", "Accept", "application/x-ndjson")
	done := r.polling(t, "?wait=55")
	r.await(t, "all are open", func() bool { return len(r.handler.Connections()) == 4 })
	var forms []string
	for _, c := range r.handler.Connections() {
		forms = append(forms, c.Form)
	}
	slices.Sort(forms)
	equal(t, "forms", forms, []string{"envelope", "json", "ndjson", "sse"})
	for form, n := range r.handler.Status().Forms {
		if n != (feedhttp.FormStatus{Live: 1}) {
			t.Errorf("%+v of %s", n, feedhttp.Form(form))
		}
	}
	r.publish(1, "n.all")
	<-done
	r.await(t, "the poll has ended", func() bool { return r.handler.Status().Disconnects["page"] == 1 })
}

func TestPage_OtherAccount_IsReported(t *testing.T) {
	tag := func(id auth.Identity) (string, error) { return "tag-" + id.User(), nil }
	r := newHarness(t, setup{opts: feedhttp.SubscribeOptions{Tag: tag}})
	r.publish(3, "n.all")
	r.level(t)
	if p := r.poll(t, "?last_event_id=1-e1&identity=tag-8", "X-User", "7"); !p.IdentityChanged || len(p.Events) > 0 || p.Position != "3-e1" {
		t.Errorf("%+v", p)
	}
	if p := r.poll(t, "?last_event_id=1-e1&identity=tag-7", "X-User", "7"); p.IdentityChanged || len(p.Events) != 2 {
		t.Errorf("%+v", p)
	}
}

// A subscription with wildcards reads the window in several steps. A page that does not wait has all of them.
func TestPage_ManyEventsOfOthers_AreSkippedWithoutWait(t *testing.T) {
	r := newHarness(t, setup{})
	r.publish(20_000, "n.others")
	r.publish(1, "n.topic.x")
	r.publish(20_000, "n.others")
	r.publish(1, "n.topic.x")
	r.publish(15_000, "n.others")
	r.level(t)
	const query = "?only=1&subject=n.topic.>&subject=n.city.*&from=all"
	if p := r.poll(t, query); !slices.Equal(p.ids(), []string{"20001-e1", "40002-e1"}) || p.Position != "55002-e1" || p.More {
		t.Errorf("%v, %s, more %t", p.ids(), p.Position, p.More)
	}
	p := r.poll(t, query+"&limit=1")
	if !slices.Equal(p.ids(), []string{"20001-e1"}) || !p.More {
		t.Errorf("%v, %s, more %t", p.ids(), p.Position, p.More)
	}
	if p = r.poll(t, query+"&limit=1&last_event_id="+p.Position); !slices.Equal(p.ids(), []string{"40002-e1"}) {
		t.Errorf("%v, %s, more %t", p.ids(), p.Position, p.More)
	}
	if p = r.poll(t, query+"&limit=1&last_event_id="+p.Position); len(p.Events) > 0 || p.Position != "55002-e1" || p.More {
		t.Errorf("%v, %s, more %t", p.ids(), p.Position, p.More)
	}
}
