package feedhttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// recorder is a feed.Publisher that keeps the messages in memory.
type recorder struct {
	mu   sync.Mutex
	msgs []feed.Message
	errs []error // of the messages of a call, in order; nil is stored
	wait bool    // for the context's end
}

func (p *recorder) Publish(ctx context.Context, msgs ...feed.Message) []feed.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.msgs = append(p.msgs, msgs...)
	if p.wait {
		<-ctx.Done()
	}
	results := make([]feed.Result, len(msgs))
	for i, msg := range msgs {
		switch {
		case p.wait:
			results[i].Err = context.Cause(ctx)
		case i < len(p.errs) && p.errs[i] != nil:
			results[i].Err = p.errs[i]
		default:
			results[i].Ack = feed.Ack{
				Stream: "NEWS", Position: feed.Position{Seq: uint64(i + 1), Epoch: "e1"},
				Duplicate: msg.ID == feedhttp.ScopedID("", "", msg.Subject, "again"),
			}
		}
	}
	return results
}

func (p *recorder) taken() []feed.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	msgs := p.msgs
	p.msgs = nil
	return msgs
}

// desk is a publishing handler behind a server.
type desk struct {
	*recorder
	*httptest.Server
}

func newDesk(t testing.TB, handler func(feedhttp.PublishOptions) http.Handler, opts feedhttp.PublishOptions) *desk {
	d := &desk{recorder: &recorder{}}
	opts.Publisher = d.recorder
	d.Server = httptest.NewServer(handler(opts))
	t.Cleanup(d.Close)
	return d
}

func publishing(opts feedhttp.PublishOptions) http.Handler { return feedhttp.NewPublish(opts) }

func (d *desk) do(t testing.TB, method, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, d.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := d.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp, text.String()
}

func (d *desk) post(t testing.TB, body string, header ...string) (*http.Response, string) {
	t.Helper()
	return d.do(t, http.MethodPost, body, header...)
}

// refused posts what must be refused with nothing stored.
func (d *desk) refused(t testing.TB, body string, status int, field string, says string) {
	t.Helper()
	resp, text := d.post(t, body)
	p := decodeProblem(t, resp, text)
	if p.Status != status || p.Field != field || !strings.Contains(p.Detail, says) || len(p.Results) > 0 {
		t.Errorf("%.120q: %+v; want %d for %q that says %q", body, p, status, field, says)
	}
	if msgs := d.taken(); len(msgs) > 0 {
		t.Errorf("%.120q: refused, and %d messages published", body, len(msgs))
	}
}

// scoped gives messages the ids with which anonymous publishers store them.
func scoped(msgs ...feed.Message) []feed.Message {
	for i, m := range msgs {
		if m.ID != "" {
			msgs[i].ID = feedhttp.ScopedID("", "", m.Subject, m.ID)
		}
	}
	return msgs
}

func (d *desk) published(t testing.TB, body string, header []string, want ...feed.Message) string {
	t.Helper()
	resp, text := d.post(t, body, header...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%.120q: %s as %q: %s", body, resp.Status, resp.Header.Get("Content-Type"), text)
	}
	if got := d.taken(); !reflect.DeepEqual(got, scoped(want...)) {
		t.Errorf("%.120q: published %+v, want %+v", body, got, want)
	}
	return text
}

func TestPublish_OtherMethods_AreRefused(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		resp, body := d.do(t, method, "")
		want := http.StatusMethodNotAllowed
		if method == http.MethodOptions {
			want = http.StatusNoContent
		}
		if resp.StatusCode != want || resp.Header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("%s: %s, Allow %q: %s", method, resp.Status, resp.Header.Get("Allow"), body)
		}
	}
}

// A string is stored as its text, all else as JSON on one line.
func TestPublish_Data_StoredAsTextOrJSON(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	for data, want := range map[string]string{
		`"hi"`:                         "hi",
		` "two\nlines \u0416 \"x\"" `:  "two\nlines Ж \"x\"",
		`""`:                           "",
		`42`:                           "42",
		`-1.50e3`:                      "-1.50e3",
		`12345678901234567890123`:      "12345678901234567890123", // no float comes near it
		`true`:                         "true",
		`null`:                         "null",
		`{}`:                           "{}",
		"{ \"b\": 1,\n \"a\": [ 1 ] }": `{"b":1,"a":[1]}`, // the order is the sender's
		`[1, "2", null]`:               `[1,"2",null]`,
		`{"html":"<b>&"}`:              `{"html":"<b>&"}`,
		"\"\u2028\"":                   "\u2028",
	} {
		text := d.published(t, `{"subject":"n.all","data":`+data+`}`, nil,
			feed.Message{Subject: "n.all", Data: append([]byte{}, want...)})
		if text != `{"stream":"NEWS","seq":1,"position":"1-e1"}`+"\n" {
			t.Errorf("%s: %s", data, text)
		}
	}
	resp, _ := d.post(t, `{"subject":"n.all"}`)
	if msgs := d.taken(); resp.StatusCode != http.StatusOK || len(msgs) != 1 || len(msgs[0].Data) != 0 {
		t.Errorf("without data: %s, %+v", resp.Status, msgs)
	}
}

func TestPublish_AllFields_AreStored(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	all := `{"subject":"n.user.42","event":"greeting","data":"hi","id":"a1"}`
	message := feed.Message{Subject: "n.user.42", Type: "greeting", Data: []byte("hi"), ID: "a1"}
	d.published(t, all, nil, message)
	d.published(t, "\r\n\t "+all+" \n", nil, message)
	d.published(t, all, []string{"Content-Type", "text/plain"}, message)
	if text := d.published(t, `{"subject":"n.all","id":"again","data":"x"}`, nil,
		feed.Message{Subject: "n.all", ID: "again", Data: []byte("x")}); !strings.Contains(text, `"duplicate":true`) {
		t.Errorf("a duplicate is answered with %s", text)
	}
}

func TestPublish_IdempotencyKey_IsTheID(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	key := []string{"Idempotency-Key", "k"}
	message := func(id string) feed.Message { return feed.Message{Subject: "n.all", Data: []byte("1"), ID: id} }
	d.published(t, `{"subject":"n.all","data":1}`, key, message("k"))
	d.published(t, `{"subject":"n.all","data":1,"id":"own"}`, key, message("own"))
	d.published(t, `[{"subject":"n.all","data":1},{"subject":"n.all","data":1,"id":"own"},{"subject":"n.all","data":1}]`, key,
		message("k:0"), message("own"), message("k:2"))
	d.published(t, `[{"subject":"n.all","data":1}]`, key, message("k:0"))
	resp, body := d.post(t, `{"subject":"n.all"}`, "Idempotency-Key", strings.Repeat("k", feed.MaxIDLen+1))
	if p := decodeProblem(t, resp, body); p.Status != http.StatusBadRequest || p.Field != "id" {
		t.Errorf("a key that is too long: %+v", p)
	}
}

func TestPublish_End_CompletesTheSubject(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	end := feed.Message{Subject: "n.all", End: true}
	d.published(t, `{"subject":"n.all","end":true}`, nil, end)
	d.published(t, `[{"subject":"n.all","end":false},{"end":true,"subject":"n.all"}]`, nil, feed.Message{Subject: "n.all"}, end)
	for _, value := range []string{`null`, `1`, `"true"`, `[]`} {
		d.refused(t, `{"subject":"n.all","end":`+value+`}`, http.StatusBadRequest, "end", "true or false")
	}
	d.URL += "?end=1"
	d.refused(t, `{"subject":"n.all"}`, http.StatusBadRequest, "", `"end": true`)
}

// below accepts subjects that begin with prefix.
func below(prefix string) func(context.Context, string) error {
	return func(_ context.Context, subject string) error {
		if !strings.HasPrefix(subject, prefix) {
			return fmt.Errorf("%q is outside of %s", subject, prefix)
		}
		return nil
	}
}

func TestPublish_InvalidEvent_StoresNothing(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{Accept: below("n."), MaxBytes: 2000, MaxBatch: 3})
	good := `{"subject":"n.all","data":1}`
	for _, c := range []struct {
		body   string
		status int
		field  string
		says   string
	}{
		{``, 400, "", "empty"},
		{" \n", 400, "", "empty"},
		{`{`, 400, "", "JSON"},
		{`{"subject":"n.all","data":}`, 400, "", "JSON"},
		{`subject=n.all`, 400, "", "JSON"},
		{`"n.all"`, 400, "", "JSON"},
		{`42`, 400, "", "JSON"},
		{`null`, 400, "subject", "subject"},
		{`{}`, 400, "subject", "subject"},
		{`{"subject":"n.all","topic":"x"}`, 400, "topic", "topic"},
		{`{"subject":42}`, 400, "subject", "number"},
		{`{"subject":"n.all","event":{}}`, 400, "event", "object"},
		{`{"subject":"n.all","id":7}`, 400, "id", "number"},
		{`{"subject":"n.all","Subject":"n.other"}`, 400, "Subject", "not known"},
		{`{"subject":"n.all","subject":"n.other"}`, 400, "subject", "twice"},
		{`{"subject":"n.all","data":1,"data":2}`, 400, "data", "twice"},
		{`{"subject":"n.a\ud800"}`, 400, "subject", "Unicode"},
		{`{"subject":"n.all","id":"\udc00"}`, 400, "id", "Unicode"},
		{`{"subject":"n.all","event":"\ud83d"}`, 400, "event", "Unicode"},
		{`{"subject":"n.all","id":" a"}`, 400, "id", "outer spaces"},
		{`{"subject":"n.all","id":"a\t"}`, 400, "id", "control"},
		{good + good, 400, "", "array"},
		{good + `,`, 400, "", "array"},
		{`[` + good + `]]`, 400, "", "array"},
		{`[]`, 400, "", "no event"},
		{`[` + good, 400, "", "JSON"},
		{`[[` + good + `]]`, 400, "", "JSON"},
		{`[` + good + `,null]`, 400, "[1].subject", "subject"},
		{`[` + good + `,{"subject":"n.all","event":"error"}]`, 400, "[1].event", "reserved"},
		{`[` + strings.Repeat(good+`,`, 3) + good + `]`, 400, "", "at most 3"},
		{"{\"subject\":\"n.all\",\"data\":\"\xff\"}", 400, "", "UTF-8"},
		{"{\"subject\":\"n.\xff\",\"data\":1}", 400, "", "UTF-8"},
		{`{"subject":"n.all","data":"` + strings.Repeat("x", 2000) + `"}`, 413, "", "2000"},

		{`{"subject":""}`, 400, "subject", ""},
		{`{"subject":"n..all"}`, 400, "subject", "empty"},
		{`{"subject":"n.*"}`, 400, "subject", "wildcard"},
		{`{"subject":"n.>"}`, 400, "subject", "wildcard"},
		{`{"subject":"n.a b"}`, 400, "subject", "spaces"},
		{`{"subject":"n.a\r\nb"}`, 400, "subject", "control"},
		{`{"subject":"n.` + strings.Repeat("x", 1023) + `"}`, 400, "subject", "1024"},
		{`{"subject":"other.x"}`, 422, "subject", "n."},
		{`{"subject":"n"}`, 422, "subject", "n."},
		{`{"subject":"n.alice%40example%2Ecom"}`, 422, "subject", "alice@example%2Ecom"},
		{`{"subject":"n.alice%2eb"}`, 422, "subject", "alice%2Eb"},
		{`{"subject":"n.100%"}`, 422, "subject", "100%25"},
		{`[` + good + `,{"subject":"n.%41"}]`, 422, "[1].subject", "write A"},
		{`{"subject":"$JS.API.STREAM.DELETE.NEWS"}`, 400, "subject", "reserved"},
		{`{"subject":"_INBOX.x"}`, 400, "subject", "reserved"},
		{`{"subject":"n.all","event":"open"}`, 400, "event", "reserved"},
		{`{"subject":"n.all","event":"error"}`, 400, "event", "reserved"},
		{`{"subject":"n.all","event":"tidemark.gap"}`, 400, "event", "reserved"},
		{`{"subject":"n.all","event":"a\nb"}`, 400, "event", "control"},
		{`{"subject":"n.all","event":"` + strings.Repeat("e", 129) + `"}`, 400, "event", "128"},
		{`{"subject":"n.all","id":"a\nb"}`, 400, "id", "control"},
		{`{"subject":"n.all","id":"` + strings.Repeat("i", 257) + `"}`, 400, "id", "256"},
	} {
		d.refused(t, c.body, c.status, c.field, c.says)
	}
}

func TestPublish_NoOptions_HasDefaultLimits(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	d.published(t, `{"subject":"anything.else","data":1}`, nil, feed.Message{Subject: "anything.else", Data: []byte("1")})
	d.refused(t, `{"subject":"$SYS.x"}`, 400, "subject", "reserved")
	d.refused(t, `{"subject":"n.all","data":"`+strings.Repeat("x", 1<<20)+`"}`, 413, "", "1048576")
	d.refused(t, `[`+strings.Repeat(`{"subject":"n.all"},`, 1000)+`{"subject":"n.all"}]`, 400, "", "at most 1000")
}

func TestPublish_Array_StoresInOrder(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	text := d.published(t, `[{"subject":"n.a","data":1},{"subject":"n.b","data":"2","id":"again"}]`, nil,
		feed.Message{Subject: "n.a", Data: []byte("1")}, feed.Message{Subject: "n.b", Data: []byte("2"), ID: "again"})
	want := `[{"stream":"NEWS","seq":1,"position":"1-e1"},{"stream":"NEWS","seq":2,"position":"2-e1","duplicate":true}]` + "\n"
	if text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

// The problem of an array has the result of each event.
func TestPublish_StoreFails_AnswersWithTheOutcome(t *testing.T) {
	for _, c := range []struct {
		err     error
		status  int
		says    string
		outcome feedhttp.Outcome
	}{
		{fmt.Errorf("%q: %w", "n.all", feed.ErrSubjectNotStored), 422, "n.all", feedhttp.OutcomeNotStored},
		{fmt.Errorf("%w: sealed", feed.ErrRejected), 422, "sealed", feedhttp.OutcomeNotStored},
		{fmt.Errorf("%w: 2 MB", feed.ErrTooLarge), 413, "2 MB", feedhttp.OutcomeNotStored},
		{fmt.Errorf("%w: maximum messages exceeded", feed.ErrFull), 507, "maximum messages", feedhttp.OutcomeNotStored},
		{&feed.InvalidError{Field: "subject", Reason: "is empty"}, 400, "is empty", feedhttp.OutcomeNotStored},
		{fmt.Errorf("%w, and %w: no leader", feed.ErrUnavailable, feed.ErrNotStored), 503, "the event is not stored", feedhttp.OutcomeNotStored},
		{fmt.Errorf("%w: %w", feed.ErrNotStored, context.Canceled), 503, "the event is not stored", feedhttp.OutcomeNotStored},
		{fmt.Errorf("%w: no answer", feed.ErrUnavailable), 503, "repeat it with the same id", feedhttp.OutcomeUnknown},
		{context.DeadlineExceeded, 503, "repeat it with the same id", feedhttp.OutcomeUnknown},
		{errors.New("new"), 503, "repeat it with the same id", feedhttp.OutcomeUnknown},
	} {
		d := newDesk(t, publishing, feedhttp.PublishOptions{})
		d.errs = []error{c.err}
		resp, body := d.post(t, `{"subject":"n.all","data":1}`)
		if p := decodeProblem(t, resp, body); p.Status != c.status || p.Outcome != c.outcome || !strings.Contains(p.Detail, c.says) || p.Results != nil {
			t.Errorf("%v: %+v", c.err, p)
		}
		d.errs = []error{nil, c.err, nil}
		resp, body = d.post(t, `[{"subject":"n.a"},{"subject":"n.b"},{"subject":"n.c"}]`)
		p := decodeProblem(t, resp, body)
		if p.Status != c.status || len(p.Results) != 3 {
			t.Fatalf("%v in an array: %+v", c.err, p)
		}
		if p.Results[0].Seq != 1 || p.Results[2].Seq != 3 || p.Results[1].Seq != 0 || !strings.Contains(p.Results[1].Error, c.says) || p.Results[1].Outcome != c.outcome {
			t.Errorf("%v in an array: results %+v", c.err, p.Results)
		}
	}
}

// An array is answered with the most severe error, at any index.
func TestPublish_ArrayFailsInSeveralWays_AnswersWorst(t *testing.T) {
	notNow := fmt.Errorf("%w, and %w", feed.ErrUnavailable, feed.ErrNotStored)
	ranks := []error{nil, feed.ErrTooLarge, feed.ErrFull, notNow, feed.ErrUnavailable}
	for i, want := range []int{200, 413, 507, 503, 503} {
		for _, errs := range [][]error{ranks[:i+1], reversed(ranks[:i+1])} {
			d := newDesk(t, publishing, feedhttp.PublishOptions{})
			d.errs = errs
			resp, _ := d.post(t, `[{"subject":"n.a"}`+strings.Repeat(`,{"subject":"n.b"}`, i)+`]`)
			if resp.StatusCode != want {
				t.Errorf("%v: %d, want %d", errs, resp.StatusCode, want)
			}
		}
	}
}

func reversed(errs []error) []error {
	back := slices.Clone(errs)
	slices.Reverse(back)
	return back
}

func TestPublish_StoreSilent_AnswersAfterTheTimeout(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{Timeout: 20 * time.Millisecond})
	d.wait = true
	resp, body := d.post(t, `{"subject":"n.all","data":1}`)
	if p := decodeProblem(t, resp, body); p.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v", p)
	}
}

// FuzzPublishBody: no body makes the handler panic, and nothing invalid is published.
func FuzzPublishBody(f *testing.F) {
	for _, seed := range []string{
		`{"subject":"n.all","event":"greeting","data":{"a":[1,null]},"id":"x"}`,
		`[{"subject":"n.a","data":"text"},{"subject":"n.b"}]`,
		`{"subject":"$JS.API.INFO"}`, `{"subject":"n.*","data":1}`, `[[]]`, `null`, `[null]`, "\xff", `"`, ` `,
		`{"subject":"n.a","event":"tidemark.open"}`, `{"subject":"n.a\u0000"}`, `{"subject":"n.\ud800"}`,
	} {
		f.Add(seed, "")
		f.Add(seed, "key")
	}
	f.Fuzz(func(t *testing.T, body, key string) {
		store := &recorder{}
		h := feedhttp.NewPublish(feedhttp.PublishOptions{Publisher: store, Accept: below("n."), MaxBytes: 4096, MaxBatch: 8})
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/publish", strings.NewReader(body))
		r.Header["Idempotency-Key"] = []string{key}
		h.ServeHTTP(w, r)
		if (w.Code == http.StatusOK) != (len(store.msgs) > 0) {
			t.Fatalf("%d, and %d messages published", w.Code, len(store.msgs))
		}
		for _, msg := range store.msgs {
			if err := msg.Validate(); err != nil || !strings.HasPrefix(msg.Subject, "n.") {
				t.Fatalf("published %+v: %v", msg, err)
			}
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d with %q", w.Code, w.Body)
		}
	})
}
