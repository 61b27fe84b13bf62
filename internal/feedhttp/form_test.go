package feedhttp_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/sse"
)

// envelopeForms are the forms of open responses, besides SSE, that have envelopes.
var envelopeForms = []feedhttp.Form{feedhttp.FormEnvelope, feedhttp.FormNDJSON}

// connectForm opens a connection in a form.
func (r *harness) connectForm(form feedhttp.Form, query string, header ...string) (*stream, error) {
	switch form {
	case feedhttp.FormEnvelope:
		query = "?envelope=1&" + strings.TrimPrefix(query, "?")
	case feedhttp.FormNDJSON:
		header = append(header, "Accept", "application/x-ndjson")
	}
	return r.connect(query, header...)
}

// envelopeJSON is an event in an envelope.
type envelopeJSON struct {
	SpecVersion, ID, Source, Type, Subject string
	Time                                   time.Time
	DataContentType                        string
	Data                                   json.RawMessage
	Base64                                 []byte `json:"data_base64"`
}

// event returns the event of SSE.
func (e envelopeJSON) event() (sse.Event, error) {
	ev := sse.Event{ID: []byte(e.ID), Type: e.Type, Data: e.Data}
	if e.SpecVersion != "1.0" || e.Source != "NEWS" {
		return ev, fmt.Errorf("no envelope of this stream: %+v", e)
	}
	if strings.HasPrefix(e.Type, feed.ControlPrefix) {
		return ev, nil
	}
	if e.ID == "" || e.Subject == "" || e.Time.IsZero() {
		return ev, fmt.Errorf("an event without attributes: %+v", e)
	}
	if e.Type == feed.DefaultType {
		ev.Type = ""
	}
	switch e.DataContentType {
	case "text/plain":
		var text string
		if err := json.Unmarshal(e.Data, &text); err != nil {
			return ev, err
		}
		ev.Data = []byte(text)
	case "application/octet-stream":
		ev.Data = e.Base64
	}
	return ev, nil
}

// formDecoder reads the events of a response in any form as SSE has them.
type formDecoder struct {
	form  feedhttp.Form
	sse   *sse.Decoder
	lines *bufio.Reader
}

func newFormDecoder(form feedhttp.Form, body io.Reader) *formDecoder {
	if form == feedhttp.FormNDJSON {
		return &formDecoder{form: form, lines: bufio.NewReader(body)}
	}
	return &formDecoder{form: form, sse: sse.NewDecoder(body)}
}

func (d *formDecoder) Next() (sse.Event, error) {
	if d.lines != nil {
		return d.nextLine()
	}
	ev, err := d.sse.Next()
	if err != nil || d.form == feedhttp.FormSSE || strings.HasPrefix(ev.Type, feed.ControlPrefix) {
		return ev, err
	}
	var e envelopeJSON
	if err := json.Unmarshal(ev.Data, &e); err != nil {
		return ev, fmt.Errorf("%w: %s", err, ev.Data)
	}
	inner, err := e.event()
	if err == nil && (e.ID != string(ev.ID) || inner.Type != ev.Type) {
		err = fmt.Errorf("the envelope %s in an event %q with the id %q", ev.Data, ev.Type, ev.ID)
	}
	return inner, err
}

// nextLine skips empty lines. A line that is cut off does not count.
func (d *formDecoder) nextLine() (sse.Event, error) {
	for {
		line, err := d.lines.ReadBytes('\n')
		if err != nil {
			return sse.Event{}, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var e envelopeJSON
		if err := json.Unmarshal(line, &e); err != nil {
			return sse.Event{}, fmt.Errorf("%w: %q", err, line)
		}
		return e.event()
	}
}

func TestForm_ConnectionsCutUnderPublishing_ReceiveEachEventOnce(t *testing.T) {
	for i, form := range append(envelopeForms, feedhttp.FormJSON) {
		for j, name := range []string{"window", "log", "both"} {
			if testing.Short() && i != j {
				continue // takes minutes with the race detector
			}
			proto := []string{"http1", "h2"}[(i+j)%2]
			t.Run(fmt.Sprint(form, "/", name, "/", proto), func(t *testing.T) {
				t.Parallel()
				with := cutFeeds[name]
				with.proto, with.opts.Heartbeat = proto, 2*time.Millisecond
				with.log = feedtest.NewMemStore()
				with.log.ReadBatch = 50
				cutAnywhere(t, newHarness(t, with), form)
			})
		}
	}
}

// A client that reads nothing is disconnected, and another one of the same form is not delayed.
func TestForm_SlowClient_ResumesWithoutLoss(t *testing.T) {
	for _, form := range envelopeForms {
		t.Run(form.String(), func(t *testing.T) {
			t.Parallel()
			const total = 3000
			with := slowSetup("http1")
			with.opts.WriteTimeout = 2 * time.Second
			r := newHarness(t, with)
			r.ReadBatch = 100
			stuck, err := r.connectForm(form, "")
			if err != nil {
				t.Fatal(err)
			}
			defer stuck.resp.Body.Close()
			r.await(t, "it is connected", func() bool { return r.feed.Status().Subscriptions == 1 })
			payload := bytes.Repeat([]byte("x"), 1000)
			for range total {
				r.Publish("n.all", "", payload)
			}
			r.await(t, "it is cut off", func() bool { return r.feed.Status().Subscriptions == 0 })
			dec, last, n := newFormDecoder(form, stuck.resp.Body), "", 0
			for {
				ev, err := dec.Next()
				if err != nil {
					break
				}
				if last = string(ev.ID); ev.Type == "" {
					n++
				}
			}
			back, err := r.connectForm(form, "", "Last-Event-ID", last)
			if err != nil {
				t.Fatal(err)
			}
			defer back.resp.Body.Close()
			dec = newFormDecoder(form, back.resp.Body)
			for n < total {
				ev, err := dec.Next()
				if err != nil {
					t.Fatalf("after %d events: %v", n, err)
				}
				if ev.Type == feedhttp.TypeGap {
					t.Fatalf("%s", ev.Data)
				}
				if ev.Type == "" {
					if n++; string(ev.ID) != fmt.Sprintf("%d-e1", n) {
						t.Fatalf("event %d has the id %s", n, ev.ID)
					}
				}
			}
		})
	}
}

func TestNDJSON_Connection_HasALineForEachItem(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, beating(proto))
		s := r.raw(t, "?meta=1", "Accept", "application/x-ndjson", "Last-Event-ID", "rubbish")
		line := func(skip string) string {
			for {
				got, err := s.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if got != skip {
					return got
				}
			}
		}
		want := func(got, want string) {
			t.Helper()
			if got != want+"\n" {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		}
		want(line(""), `{"specversion":"1.0","source":"NEWS","type":"tidemark.open","datacontenttype":"application/json","data":{"stream":"NEWS","position":"0-e1","resumed":false,"pending":0,"subjects":["n.all"]}}`)
		want(line(""), `{"specversion":"1.0","id":"0-e1","source":"NEWS","type":"tidemark.gap","datacontenttype":"application/json","data":{"reason":"malformed","requested":"rubbish","first_available":"1-e1","continues_after":"0-e1"}}`)
		want(line(""), "")
		r.publish(1, "n.others")
		want(line("\n"), `{"specversion":"1.0","id":"1-e1","source":"NEWS","type":"tidemark.position","datacontenttype":"application/json","data":{"position":"1-e1"}}`)
		r.Publish("n.all", "order", []byte("{\n}"))
		var e envelopeJSON
		if err := json.Unmarshal([]byte(line("\n")), &e); err != nil || e.ID != "2-e1" || e.Type != "order" || e.Subject != "n.all" || string(e.Data) != "{ }" || e.Time.IsZero() {
			t.Errorf("%+v, %v", e, err)
		}
		go func() { _ = r.handler.Drain(r.ctx, 0) }()
		if got := line("\n"); !strings.HasPrefix(got, `{"specversion":"1.0","source":"NEWS","type":"tidemark.close","datacontenttype":"application/json","data":{"reason":"drain",`) {
			t.Errorf("%q", got)
		}
	})
}

func TestNDJSON_ControlOff_EmptyLinesAlone(t *testing.T) {
	r := newHarness(t, beating(""))
	s := r.raw(t, "?control=off&heartbeat=event", "Accept", "application/x-ndjson", "Last-Event-ID", "rubbish")
	r.publish(1, "n.others")
	for range 5 {
		if line, err := s.ReadString('\n'); err != nil || line != "\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	r.publish(1, "n.all")
	for {
		line, err := s.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\n" {
			continue
		}
		if !strings.HasPrefix(line, `{"specversion":"1.0","id":"2-e1",`) {
			t.Errorf("%q", line)
		}
		break
	}
}

// Control events are those of SSE.
func TestEnvelope_Connection_HasEventsInEnvelopes(t *testing.T) {
	r := newHarness(t, setup{})
	s := r.raw(t, "?envelope=1")
	if got := tame(s.block(t)); !strings.HasPrefix(got, "retry: N\nevent: tidemark.open\ndata: {\"stream\":\"NEWS\"") {
		t.Errorf("%q", got)
	}
	r.Publish("n.all", "order", []byte("two\nlines"))
	block := s.block(t)
	for _, part := range []string{"event: order\ndata: {\"specversion\":\"1.0\",\"id\":\"1-e1\",", `"data":"two\nlines"}` + "\nid: 1-e1\n\n"} {
		if !strings.Contains(block, part) {
			t.Errorf("%q is not in %q", part, block)
		}
	}
}

func TestAccept_Values_SelectTheForm(t *testing.T) {
	r := newHarness(t, setup{})
	const stream, lines, page = "text/event-stream; charset=utf-8", "application/x-ndjson", "application/json"
	for accept, want := range map[string]string{
		"":                       stream,
		"*/*":                    stream,
		"text/event-stream":      stream,
		"TEXT/Event-Stream;q=.1": stream,
		"text/*":                 stream,
		"application/x-ndjson":   lines,
		"application/json":       page,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": stream, // browsers
		"application/json, text/plain, */*":                               page,   // axios
		"application/json, text/javascript, */*; q=0.01":                  page,   // jQuery
		"application/json;q=0.9, application/x-ndjson":                    lines,
		"application/x-ndjson, text/event-stream":                         stream,
		"application/x-ndjson, text/event-stream;q=0.9":                   lines,
		"application/x-ndjson, */*":                                       lines,
		"application/x-ndjson;q=0.5, */*":                                 stream,
		"application/x-ndjson;q=0, */*":                                   stream,
		"text/event-stream;q=0, */*":                                      lines,
		" application/x-ndjson ; charset=utf-8 ; Q=1.000 ":                lines,
		"nonsense, ;;;, ,/, application/x-ndjson":                         lines,
		"text/event-stream;q=2, application/x-ndjson;q=0.001":             lines,
		"text/event-stream;q=NaN, text/event-stream;q=0.1":                stream,
		"text/event-stream;q=, text/event-stream;q=1e-1":                  stream,
	} {
		resp, _ := r.answer(t, http.MethodHead, "/events", "Accept", accept)
		if got := resp.Header.Get("Content-Type"); got != want || resp.StatusCode != http.StatusOK {
			t.Errorf("%q: %s as %q, want %q", accept, resp.Status, got, want)
		}
	}
	for _, accept := range []string{"text/html", "image/*", "nonsense", "*/*;q=0", "text/event-stream;q=0", "application/xml, text/plain", strings.Repeat("a/b,", 500), ",", ";q=1", "*"} {
		resp, body := r.answer(t, http.MethodGet, "/events", "Accept", accept)
		if p := decodeProblem(t, resp, body); p.Code != problem.NotAcceptable || !strings.Contains(p.Detail, "application/x-ndjson") || resp.Header.Get("Vary") == "" {
			t.Errorf("%.50q: %+v", accept, p)
		}
	}
}

func TestEnvelope_UnknownValue_IsRefused(t *testing.T) {
	r := newHarness(t, setup{})
	for _, query := range []string{"?envelope=0", "?envelope", "?envelope=true"} {
		resp, body := r.answer(t, http.MethodGet, "/events"+query)
		if p := decodeProblem(t, resp, body); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, "envelope") {
			t.Errorf("%s: %+v", query, p)
		}
	}
}
