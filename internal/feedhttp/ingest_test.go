package feedhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/auth"
)

// ingestDesk serves POST /publish/{subject} and /publish, over HTTP/1.1 and HTTP/2 without TLS.
type ingestDesk struct {
	*recorder
	*httptest.Server
	admission *feedhttp.Admission
}

func newIngestDesk(t *testing.T, opts feedhttp.PublishOptions) *ingestDesk {
	t.Helper()
	d := &ingestDesk{recorder: &recorder{}, admission: opts.Admission}
	if d.admission == nil {
		d.admission = feedhttp.NewAdmission(feedhttp.Limits{})
	}
	opts.Admission, opts.Templates = d.admission, templates(t, "n.user.{user}")
	if opts.Publisher == nil {
		opts.Publisher = d.recorder
	}
	mux := http.NewServeMux()
	mux.Handle("/publish", feedhttp.NewPublish(opts))
	mux.Handle("/publish/{subject...}", feedhttp.NewPublishBody(opts))
	d.Server = httptest.NewUnstartedServer(mux)
	d.Config.Protocols = new(http.Protocols)
	d.Config.Protocols.SetHTTP1(true)
	d.Config.Protocols.SetUnencryptedHTTP2(true)
	d.Start()
	t.Cleanup(d.Close)
	return d
}

// outcome returns how the only event stream ended.
func (d *ingestDesk) outcome(t *testing.T) (only string) {
	t.Helper()
	_, ended := d.admission.Ingests()
	for o, n := range ended {
		if n > 0 {
			only += o.String()
		}
	}
	return only
}

// ingestAnswer is an IngestResult, or a problem with one.
type ingestAnswer struct {
	feedhttp.IngestResult
	Code   problem.Code          `json:"code"`
	Detail string                `json:"detail"`
	Field  string                `json:"field"`
	Ingest feedhttp.IngestResult `json:"ingest"`
}

func (d *ingestDesk) send(t *testing.T, target string, body io.Reader, header ...string) (status int, answer ingestAnswer) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, d.URL+target, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/event-stream; charset=utf-8")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := d.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return resp.StatusCode, answer
}

// stored describes the messages as data, with an exclamation mark after the end.
func (d *ingestDesk) stored() string {
	var all []string
	for _, m := range d.taken() {
		text := string(m.Data)
		if m.Type != "" {
			text = m.Type + ":" + text
		}
		if m.End {
			text += "!"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestIngest_Body_IsStoredAndEndsAsRequested(t *testing.T) {
	for name, c := range map[string]struct {
		target, body, want string
		ended              bool
	}{
		"terminator":            {"/publish/n.a", "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n", "1 2 [DONE]!", true},
		"events after it":       {"/publish/n.a", "data: [DONE]\n\ndata: 1\n\n", "[DONE]!", true},
		"end of the body":       {"/publish/n.a", "data: 1\n\n", "1", false},
		"empty body":            {"/publish/n.a", "", "", false},
		"own terminator":        {"/publish/n.a?end_on=%7B%22x%22%3A1%7D", "data: [DONE]\n\ndata: {\"x\":1}\n\n", `[DONE] {"x":1}!`, true},
		"no terminator":         {"/publish/n.a?end_on=", "data: [DONE]\n\ndata:\n\n", "[DONE] ", false},
		"body's end":            {"/publish/n.a?end=1", "data: 1\n\n", "1 !", true},
		"body's end, none":      {"/publish/n.a?end=1", "", "!", true},
		"terminator before end": {"/publish/n.a?end=1", "data: [DONE]\n\n", "[DONE]!", true},
		"types":                 {"/publish/n.a", "event: delta\ndata: 1\n\ndata: 2\n\nevent: message\ndata: 3\n\n", "delta:1 2 message:3", false},
		"a user":                {"/publish?user=42", "data: 1\n\n", "1", false},
		"lines and comments":    {"/publish/n.a", ": hi\n\ndata: 1\ndata: 2\n: hi\n\nretry: 5\nid: x\n\n", "1\n2", false},
		"CRLF and a mark":       {"/publish/n.a", "\ufeffdata: 1\r\n\r\ndata: 2\r\n\r\n", "1 2", false},
	} {
		d := newIngestDesk(t, feedhttp.PublishOptions{})
		status, answer := d.send(t, c.target, strings.NewReader(c.body))
		n := d.count()
		if got := d.stored(); status != http.StatusOK || got != c.want || answer.Ended != c.ended || answer.Stored != n {
			t.Errorf("%s: %d %+v, stored %q; want %q, ended %t", name, status, answer.IngestResult, got, c.want, c.ended)
		}
		want := "open"
		if c.ended {
			want = "ended"
		}
		if got := d.outcome(t); got != want {
			t.Errorf("%s: outcome %q, want %q", name, got, want)
		}
	}
}

func TestIngest_Headers_AreThoseOfEachEvent(t *testing.T) {
	d := newIngestDesk(t, feedhttp.PublishOptions{})
	d.send(t, "/publish/n.a", strings.NewReader("id: 7\nretry: 1\ndata: 1\n\nevent: own\ndata: 2\n\n"), "Event-Type", "delta", "Nats-TTL", "60", "Idempotency-Key", "k")
	for i, m := range d.taken() {
		want := feed.Message{Subject: "n.a", Type: []string{"delta", "own"}[i], TTL: time.Minute, ID: feedhttp.ScopedID("", "", "n.a", "k:"+strconv.Itoa(i))}
		if m.Data = nil; fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", want) {
			t.Errorf("event %d: %+v, want %+v", i, m, want)
		}
	}
}

func TestIngest_InvalidEvent_StopsBeforeIt(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		code   problem.Code
		says   string
		result string
	}{
		"reserved type":      {"event: tidemark.close\ndata: 2\n\n", problem.InvalidEvent, "reserved", "invalid"},
		"type of a failure":  {"event: error\ndata: 2\n\n", problem.InvalidEvent, "reserved", "invalid"},
		"control character":  {"event: a\tb\ndata: 2\n\n", problem.InvalidEvent, "control", "invalid"},
		"long type":          {"event: " + strings.Repeat("e", 129) + "\ndata: 2\n\n", problem.InvalidEvent, "128", "invalid"},
		"not UTF-8":          {"data: \xff\n\n", problem.InvalidEvent, "UTF-8", "invalid"},
		"large data":         {"data: " + strings.Repeat("x", 600) + "\ndata: " + strings.Repeat("x", 600) + "\n\n", problem.EventTooLarge, "1000 bytes", "invalid"},
		"endless line":       {strings.Repeat("x", 4000), problem.EventTooLarge, "1000 bytes", "invalid"},
		"cut before the end": {"data: 2\n", problem.BodyBroken, "within an event", "broken"},
		"cut within a line":  {"dat", problem.BodyBroken, "within an event", "broken"},
		"cut after a type":   {"event: x\n", problem.BodyBroken, "within an event", "broken"},
	} {
		d := newIngestDesk(t, feedhttp.PublishOptions{MaxBytes: 1000})
		status, answer := d.send(t, "/publish/n.a?end=1", strings.NewReader("data: 1\n\n"+c.body))
		if status < 400 || answer.Code != c.code || !strings.Contains(answer.Detail, c.says) || !strings.Contains(answer.Detail, "the subject is open") ||
			answer.Ingest.Stored != 1 || answer.Ingest.LastSeq != 1 || answer.Ingest.Ended {
			t.Errorf("%s: %d %+v", name, status, answer)
		}
		if got := d.stored(); got != "1" || d.outcome(t) != c.result {
			t.Errorf("%s: stored %q, outcome %q", name, got, d.outcome(t))
		}
	}
}

// A model that fails answers with JSON or a page. The end of such a body must not look like that of an answer.
func TestIngest_BodyIsNotAnEventStream_IsRefused(t *testing.T) {
	for name, body := range map[string]string{
		"JSON":                     `{"error":{"message":"overloaded"}}`,
		"JSON and a blank line":    "{\n  \"error\": \"overloaded\"\n}\n\n",
		"a page":                   "<!doctype html>\n<title>502</title>\n\n",
		"a page without a newline": "<!doctype html>",
		"a mark and JSON":          "\ufeff{\"error\":1}\n\n",
		"blank lines":              "\n\n",
		"fields in other letters":  "Data: 1\n\n",
		"the beginning of a name":  "dat",
	} {
		for _, target := range []string{"/publish/n.a", "/publish/n.a?end=1"} {
			d := newIngestDesk(t, feedhttp.PublishOptions{})
			status, answer := d.send(t, target, strings.NewReader(body))
			if status != http.StatusBadRequest || answer.Code != problem.InvalidEvent || !strings.Contains(answer.Detail, "not an event stream: no line has a field such as data:") {
				t.Errorf("%s, %s: %d %+v", name, target, status, answer)
			}
			if got := d.stored(); got != "" || d.outcome(t) != "invalid" {
				t.Errorf("%s, %s: stored %q, outcome %q", name, target, got, d.outcome(t))
			}
		}
	}
	for body, want := range map[string]int{": no event yet\n\n": http.StatusOK, "retry: 5\n\n": http.StatusOK, "data: 1": http.StatusBadRequest, "\ufeff:": http.StatusBadRequest} {
		d := newIngestDesk(t, feedhttp.PublishOptions{})
		if status, answer := d.send(t, "/publish/n.a", strings.NewReader(body)); status != want || strings.Contains(answer.Detail, "not an event stream") {
			t.Errorf("%q: %d %+v", body, status, answer)
		}
	}
}

func TestIngest_InvalidRequest_StoresNothing(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		header []string
		field  string
	}{
		"wildcard":          {"/publish/n.*", nil, "subject"},
		"encoded dots":      {"/publish/n%2E%2Ea", nil, "subject"},
		"not canonical":     {"/publish/n.a%252eb", nil, "subject"},
		"reserved subject":  {"/publish/tidemark%2Erevoke", nil, "subject"},
		"a CloudEvent":      {"/publish/n.a", []string{"ce-id", "1"}, "ce-id"},
		"long key":          {"/publish/n.a", []string{"Idempotency-Key", strings.Repeat("k", 257)}, "Idempotency-Key"},
		"reserved type":     {"/publish/n.a", []string{"Event-Type", "tidemark.gap"}, "Event-Type"},
		"no subject":        {"/publish", nil, ""},
		"empty user":        {"/publish?user=", nil, ""},
		"unknown parameter": {"/publish/n.a?ends=1", nil, ""},
		"end twice":         {"/publish/n.a?end=1&end=1", nil, ""},
		"end is not a flag": {"/publish/n.a?end=0", nil, ""},
		"user and subject":  {"/publish/n.a?user=42", nil, "user"},
	} {
		d := newIngestDesk(t, feedhttp.PublishOptions{})
		status, answer := d.send(t, c.target, strings.NewReader("data: 1\n\n"), c.header...)
		if got := d.stored(); status < 400 || answer.Field != c.field || got != "" {
			t.Errorf("%s: %d %+v, stored %q", name, status, answer, got)
		}
	}
	d := newIngestDesk(t, feedhttp.PublishOptions{})
	if status, answer := d.send(t, "/publish/n.a?end_on=x", strings.NewReader("1"), "Content-Type", "text/plain"); status != http.StatusBadRequest || !strings.Contains(answer.Detail, "event-stream") {
		t.Errorf("end_on for another body: %d %+v", status, answer)
	}
}

func (d *ingestDesk) await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitTimeout); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, waitTimeout)
		}
	}
}

func (p *recorder) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.msgs)
}

// The body ends after each of its events is stored.
func TestIngest_OpenBody_EachEventIsStoredAtOnce(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		d := newIngestDesk(t, feedhttp.PublishOptions{})
		protocols := new(http.Protocols)
		protocols.SetHTTP1(proto == "HTTP/1.1")
		protocols.SetUnencryptedHTTP2(proto == "HTTP/2.0")
		client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
		t.Cleanup(client.CloseIdleConnections)
		body, writer := io.Pipe()
		answered := make(chan *http.Response, 1)
		go func() {
			defer close(answered)
			req, _ := http.NewRequest(http.MethodPost, d.URL+"/publish/n.a", body)
			req.Header.Set("Content-Type", "text/event-stream")
			if resp, err := client.Do(req); err == nil {
				answered <- resp
			}
		}()
		for i := range 3 {
			if _, err := fmt.Fprintf(writer, "data: %d\n\n", i); err != nil {
				t.Fatal(err)
			}
			d.await(t, fmt.Sprintf("%s: event %d", proto, i), func() bool { return d.count() == i+1 })
		}
		if open, _ := d.admission.Ingests(); open != 1 {
			t.Errorf("%s: %d event streams are open, want 1", proto, open)
		}
		_ = writer.Close()
		resp := <-answered
		if resp == nil {
			t.Fatalf("%s: no answer", proto)
		}
		if resp.StatusCode != http.StatusOK || resp.Proto != proto {
			t.Errorf("%s: %s over %s", proto, resp.Status, resp.Proto)
		}
		_ = resp.Body.Close()
	}
}

// drip sends one byte after the other until it cannot.
type drip struct {
	text  string
	every time.Duration
}

func (b *drip) Read(p []byte) (int, error) {
	time.Sleep(b.every)
	n := copy(p[:1], b.text)
	if b.text = b.text[n:]; b.text == "" {
		b.text = "x"
	}
	return n, nil
}

func TestIngest_NoEventWithinIdleTimeout_IsEnded(t *testing.T) {
	for name, body := range map[string]string{"never begins": "x", "begins and drips": "data: 1\n\ndata: "} {
		d := newIngestDesk(t, feedhttp.PublishOptions{IdleTimeout: 100 * time.Millisecond})
		want := strings.Count(body, "1")
		status, answer := d.send(t, "/publish/n.a?end=1", &drip{body, time.Millisecond})
		if status != http.StatusRequestTimeout || answer.Code != problem.BodyTimeout || !strings.Contains(answer.Detail, "publish.idle_timeout") || answer.Ingest.Stored != want {
			t.Errorf("%s: %d %+v", name, status, answer)
		}
		if got := d.outcome(t); got != "idle" {
			t.Errorf("%s: outcome %q", name, got)
		}
	}
}

// A model that thinks sends comments.
func TestIngest_CommentsWithinIdleTimeout_KeepItOpen(t *testing.T) {
	d := newIngestDesk(t, feedhttp.PublishOptions{IdleTimeout: 2 * time.Second})
	body, writer := io.Pipe()
	go func() {
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			_, _ = io.WriteString(writer, ":\n")
		}
		_, _ = io.WriteString(writer, "data: [DONE]\n\n")
		_ = writer.Close()
	}()
	if status, answer := d.send(t, "/publish/n.a", body); status != http.StatusOK || !answer.Ended {
		t.Errorf("%d %+v", status, answer)
	}
}

// rawIngest sends the head and the first event of a chunked body.
func (d *ingestDesk) rawIngest(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "POST /publish/n.a?end=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	d.await(t, "the first event", func() bool { return d.count() == 1 })
	return conn
}

// Only the last chunk ends a body cleanly.
func TestIngest_ConnectionBreaks_SubjectStaysOpen(t *testing.T) {
	for _, rest := range []string{"", "9\r\ndata: 2", "0\r\n"} {
		var log testkit.Log
		d := newIngestDesk(t, feedhttp.PublishOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		conn := d.rawIngest(t)
		if _, err := io.WriteString(conn, rest); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite() // so that the answer can still be sent
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answer), "400 Bad Request") || !strings.Contains(string(answer), `"stored":1`) || !strings.Contains(string(answer), "the subject is open") {
			t.Errorf("after %q: %s, %v", rest, answer, err)
		}
		if got := d.stored(); got != "1" || d.outcome(t) != "broken" {
			t.Errorf("after %q: stored %q, outcome %q", rest, got, d.outcome(t))
		}
		if !strings.Contains(log.String(), "publish: event stream stopped; its subject stays open") || !strings.Contains(log.String(), "stored=1") {
			t.Errorf("after %q: log %s", rest, log.String())
		}
	}
}

// The client has more to send, and the answer does not wait for it.
func TestIngest_BodyGoesOnAfterTheEnd_IsAnswered(t *testing.T) {
	d := newIngestDesk(t, feedhttp.PublishOptions{})
	conn := d.rawIngest(t)
	if _, err := io.WriteString(conn, "e\r\ndata: [DONE]\n\n\r\n9\r\ndata: 2\n\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "200 OK") || !strings.Contains(string(answer), "Connection: close") || !strings.Contains(string(answer), `"ended":true`) {
		t.Errorf("%s, %v", answer, err)
	}
	if got := d.stored(); got != "1 [DONE]!" {
		t.Errorf("stored %q", got)
	}
}

// failing is a store with errors for its first attempts of the events with that data.
type failing struct {
	*recorder
	data string
	errs []error
}

func (p *failing) Publish(ctx context.Context, msgs ...feed.Message) []feed.Result {
	if string(msgs[0].Data) == p.data && len(p.errs) > 0 {
		err := p.errs[0]
		p.errs = p.errs[1:]
		return []feed.Result{{Err: err}}
	}
	return p.recorder.Publish(ctx, msgs...)
}

func TestIngest_StoreFails_StopsOrRepeats(t *testing.T) {
	notNow := fmt.Errorf("%w, and %w: no leader", feed.ErrUnavailable, feed.ErrNotStored)
	for name, c := range map[string]struct {
		errs   []error
		status int
		stored string
	}{
		"for a moment":           {[]error{notNow, notNow}, 200, "1 2 3"},
		"without an answer once": {[]error{feed.ErrUnavailable}, 200, "1 2 3"},
		"full":                   {[]error{feed.ErrFull}, 507, "1"},
		"too large":              {[]error{feed.ErrTooLarge}, 413, "1"},
		"rejected":               {[]error{feed.ErrRejected}, 422, "1"},
		"full after no answer":   {[]error{feed.ErrUnavailable, feed.ErrFull}, 503, "1"},
		"for long":               {slices.Repeat([]error{notNow}, 1000), 503, "1"},
	} {
		store := &failing{recorder: &recorder{}, data: "2", errs: c.errs}
		d := newIngestDesk(t, feedhttp.PublishOptions{Publisher: store, RetryTimeout: 200 * time.Millisecond})
		d.recorder = store.recorder
		status, answer := d.send(t, "/publish/n.a", strings.NewReader("data: 1\n\ndata: 2\n\ndata: 3\n\n"))
		if got := d.stored(); status != c.status && name != "full after no answer" || got != c.stored {
			t.Errorf("%s: %d %+v, stored %q; want %d, %q", name, status, answer, got, c.status, c.stored)
		}
		if c.status != http.StatusOK && (answer.Ingest.Stored != 1 || d.outcome(t) != "failed") {
			t.Errorf("%s: %+v, outcome %q", name, answer, d.outcome(t))
		}
		if name == "full after no answer" && answer.Code != problem.OutcomeUnknown {
			t.Errorf("%s: %q, want %q", name, answer.Code, problem.OutcomeUnknown)
		}
	}
}

func TestIngest_RightEnds_StopsBeforeTheNextEvent(t *testing.T) {
	var revoked atomic.Bool
	d := newIngestDesk(t, feedhttp.PublishOptions{Identify: func(*http.Request) (auth.Identity, error) {
		if revoked.Load() {
			return auth.Identity{}, &auth.Error{Status: http.StatusUnauthorized, Detail: "revoked"}
		}
		return auth.Identity{Publish: []string{"n.a"}}, nil
	}})
	if status, _ := d.send(t, "/publish/n.b", strings.NewReader("data: 1\n\n")); status != http.StatusForbidden || d.stored() != "" {
		t.Errorf("another subject: %d", status)
	}
	body, writer := io.Pipe()
	go func() {
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(writer, "data: %d\n\n", i); err != nil {
				return
			}
			if d.count() > 0 {
				revoked.Store(true)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	if status, answer := d.send(t, "/publish/n.a", body); status != http.StatusUnauthorized || answer.Detail == "" || answer.Ingest.Stored == 0 {
		t.Errorf("%d %+v", status, answer)
	}
}

// Also where net/http would read the body first.
func TestIngest_RefusedWhileTheBodyIsOpen_IsAnsweredAtOnce(t *testing.T) {
	d := newIngestDesk(t, feedhttp.PublishOptions{Identify: func(*http.Request) (auth.Identity, error) {
		return auth.Identity{}, &auth.Error{Status: http.StatusUnauthorized, Detail: "no key"}
	}})
	body, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	if status, _ := d.send(t, "/publish/n.a", body); status != http.StatusUnauthorized || d.stored() != "" {
		t.Errorf("%d", status)
	}
}

// Events beyond the rate wait, and all are stored.
func TestIngest_BeyondTheRate_Waits(t *testing.T) {
	d := newIngestDesk(t, feedhttp.PublishOptions{Admission: feedhttp.NewAdmission(feedhttp.Limits{PublishesPerSecond: 50, PublishesBurst: 1})})
	began := time.Now()
	status, answer := d.send(t, "/publish/n.a", strings.NewReader(strings.Repeat("data: 1\n\n", 11)))
	if took := time.Since(began); status != http.StatusOK || answer.Stored != 11 || took < 200*time.Millisecond {
		t.Errorf("%d %+v after %v; 10 events at 50 a second need 200 ms", status, answer, took)
	}
}
