package feedhttp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// postBody sends a body to POST /publish/{subject}, or to /publish with a query.
func postBody(t *testing.T, target, body string, header http.Header) (*httptest.ResponseRecorder, []feed.Message) {
	t.Helper()
	store := &recorder{}
	opts := feedhttp.PublishOptions{Publisher: store, Templates: templates(t, "n.user.{user}"), MaxBytes: 1000}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	for name, values := range header {
		for _, value := range values {
			r.Header.Add(name, value)
		}
	}
	if subject, inPath := strings.CutPrefix(r.URL.Path, "/publish/"); inPath {
		r.SetPathValue("subject", subject)
		feedhttp.NewPublishBody(opts).ServeHTTP(w, r)
	} else {
		feedhttp.NewPublish(opts).ServeHTTP(w, r)
	}
	return w, store.taken()
}

func header(namesAndValues ...string) http.Header {
	h := make(http.Header)
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		h.Add(namesAndValues[i], namesAndValues[i+1])
	}
	return h
}

// cloudHeader returns the header of a CloudEvent in binary mode.
func cloudHeader(more ...string) http.Header {
	return header(append([]string{"CE-SpecVersion", "1.0", "ce-ID", "1", "Ce-Source", "/a", "CE-Type", "com.x"}, more...)...)
}

// attributes are those of cloudHeader, as they are stored.
func attributes(more ...string) map[string]string {
	all := map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "com.x"}
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// A CloudEvent in binary mode has the attributes that one in the JSON format has.
func TestPublish_BinaryCloudEventLacksAnAttribute_IsRefused(t *testing.T) {
	for _, target := range []string{"/publish/n.all", "/publish?user=a", "/publish"} {
		for _, name := range []string{"ce-specversion", "ce-id", "ce-source", "ce-type"} {
			h := cloudHeader("ce-subject", "n.all", "Content-Type", "application/json")
			h.Del(name)
			w, msgs := postBody(t, target, `{"subject":"n.all","data":"x"}`, h)
			if w.Code != http.StatusBadRequest || len(msgs) > 0 || !strings.Contains(w.Body.String(), `"field":"`+name+`"`) || !strings.Contains(w.Body.String(), "is missing") {
				t.Errorf("%s without %s: %d %s, published %+v", target, name, w.Code, w.Body, msgs)
			}
		}
		for _, h := range []http.Header{cloudHeader("ce-time", "yesterday", "ce-subject", "n.all"), header("ce-region", "eu")} {
			if w, msgs := postBody(t, target, `{"subject":"n.all","data":"x"}`, h); w.Code != http.StatusBadRequest || len(msgs) > 0 {
				t.Errorf("%s with %v: %d %s, published %+v", target, h, w.Code, w.Body, msgs)
			}
		}
	}
	if w, msgs := postBody(t, "/publish", `{"subject":"n.all","data":"x"}`, header("ce-type", "com.x")); w.Code != http.StatusOK || len(msgs) != 1 || msgs[0].Type != "" {
		t.Errorf("JSON with ce-type: %d %s, published %+v", w.Code, w.Body, msgs)
	}
}

func TestPublishBody_Headers_BecomeThoseOfTheEvent(t *testing.T) {
	id := func(subject, id string) string { return feedhttp.ScopedID("", "", subject, id) }
	ceID := func(subject string) string { return id(subject, feedhttp.ScopedID("cloudevent", "/a", "1")) }
	for name, c := range map[string]struct {
		target string
		header http.Header
		want   feed.Message
	}{
		"none":          {"/publish/n.all", nil, feed.Message{Subject: "n.all"}},
		"type":          {"/publish/n.all", header("Event-Type", "a.b"), feed.Message{Subject: "n.all", Type: "a.b"}},
		"id":            {"/publish/n.all", header("idempotency-key", "k"), feed.Message{Subject: "n.all", ID: id("n.all", "k")}},
		"end":           {"/publish/n.all?end=1", nil, feed.Message{Subject: "n.all", End: true}},
		"end of a user": {"/publish?user=a.b&end=1", nil, feed.Message{Subject: "n.user.a%2Eb", End: true}},
		"end as header": {"/publish/n.all", header("Tidemark-End", "1"), feed.Message{Subject: "n.all"}},
		"seconds":       {"/publish/n.all", header("Nats-TTL", "90"), feed.Message{Subject: "n.all", TTL: 90 * time.Second}},
		"duration":      {"/publish/n.all", header("NATS-ttl", "1m30.7s"), feed.Message{Subject: "n.all", TTL: 90 * time.Second}},
		"content type":  {"/publish/n.all", header("Content-Type", "application/json"), feed.Message{Subject: "n.all", Header: map[string]string{"Content-Type": "application/json"}}},
		"type of curl":  {"/publish/n.all", header("Content-Type", "application/x-www-form-urlencoded"), feed.Message{Subject: "n.all"}},
		"type of fetch": {"/publish/n.all", header("Content-Type", "text/plain;charset=UTF-8"), feed.Message{Subject: "n.all"}},
		"other charset": {"/publish/n.all", header("Content-Type", "text/plain;charset=latin1"), feed.Message{Subject: "n.all", Header: map[string]string{"Content-Type": "text/plain;charset=latin1"}}},
		"not listed":    {"/publish/n.all", header("Nats-Rollup", "all", "Nats-Expected-Last-Sequence", "0", "Nats-Msg-Id", "x", "X-Mine", "1", "Traceparent", "00-x"), feed.Message{Subject: "n.all"}},
		"encoded path":  {"/publish/n.user.a%252Eb@c", nil, feed.Message{Subject: "n.user.a%2Eb@c"}},
		"slash in path": {"/publish/n.user.a/b%2Fc", nil, feed.Message{Subject: "n.user.a/b/c"}},
		"user":          {"/publish?user=a.b", cloudHeader("Event-Type", "e", "Nats-TTL", "1", "ce-region", "x"), feed.Message{Subject: "n.user.a%2Eb", Type: "e", TTL: time.Second, ID: ceID("n.user.a%2Eb"), Header: attributes("ce-region", "x")}},
		"type alone":    {"/publish/n.all", header("ce-type", "com.x"), feed.Message{Subject: "n.all", Type: "com.x", Header: map[string]string{"ce-type": "com.x"}}},
		"cloud event":   {"/publish/n.all", cloudHeader("Ce-Time", "2026-01-01T00:00:00Z"), feed.Message{Subject: "n.all", Type: "com.x", ID: ceID("n.all"), Header: attributes("ce-time", "2026-01-01T00:00:00Z")}},
		"encoded":       {"/publish/n.all", cloudHeader("ce-subject", "caf%C3%A9%20%2541"), feed.Message{Subject: "n.all", Type: "com.x", ID: ceID("n.all"), Header: attributes("ce-subject", "café %41")}},
		"quoted":        {"/publish/n.all", cloudHeader("ce-subject", `"a \"b\" c"`), feed.Message{Subject: "n.all", Type: "com.x", ID: ceID("n.all"), Header: attributes("ce-subject", `a "b" c`)}},
		"own names win": {"/publish/n.all", cloudHeader("Event-Type", "e", "Idempotency-Key", "k"), feed.Message{Subject: "n.all", Type: "e", ID: id("n.all", "k"), Header: attributes()}},
	} {
		t.Run(name, func(t *testing.T) {
			const body = " {\"a\": 1}\r\n"
			c.want.Data = []byte(body)
			w, msgs := postBody(t, c.target, body, c.header)
			if w.Code != http.StatusOK || !reflect.DeepEqual(msgs, []feed.Message{c.want}) {
				t.Errorf("%d %s: published %+v, want %+v", w.Code, w.Body, msgs, c.want)
			}
		})
	}
}

func TestPublishBody_Wrong_RefusedWithTheField(t *testing.T) {
	for name, c := range map[string]struct {
		target, body string
		header       http.Header
		status       int
		field, says  string
	}{
		"no subject":           {"/publish/", "x", nil, 400, "subject", "bytes"},
		"wildcard":             {"/publish/n.*", "x", nil, 400, "subject", "wildcard"},
		"encoded wildcard":     {"/publish/n.%3E", "x", nil, 400, "subject", "wildcard"},
		"decoded twice":        {"/publish/n.a%2565", "x", nil, 422, "subject", ""},
		"of JetStream":         {"/publish/$JS.API.STREAM.DELETE.N", "x", nil, 400, "subject", "reserved"},
		"of Tidemark":          {"/publish/tidemark.revoke", "x", nil, 400, "subject", "reserved"},
		"NUL":                  {"/publish/n.%00", "x", nil, 400, "subject", ""},
		"line":                 {"/publish/n.a%0D%0APUB%20x", "x", nil, 400, "subject", ""},
		"user and subject":     {"/publish/n.all?user=a", "x", nil, 400, "user", "one of them"},
		"no body":              {"/publish/n.all", "", nil, 400, "", "empty"},
		"binary":               {"/publish/n.all", "\xff", nil, 400, "", "UTF-8"},
		"long body":            {"/publish/n.all", strings.Repeat("x", 1001), nil, 413, "", "1000"},
		"two types":            {"/publish/n.all", "x", header("Event-Type", "a", "Event-Type", "b"), 400, "Event-Type", "2 times"},
		"reserved type":        {"/publish/n.all", "x", header("Event-Type", "tidemark.close"), 400, "Event-Type", "reserved"},
		"long id":              {"/publish/n.all", "x", header("Idempotency-Key", strings.Repeat("k", 257)), 400, "Idempotency-Key", "256"},
		"lifetime of zero":     {"/publish/n.all", "x", header("Nats-TTL", "0"), 400, "Nats-TTL", "second"},
		"short lifetime":       {"/publish/n.all", "x", header("Nats-TTL", "900ms"), 400, "Nats-TTL", "second"},
		"negative lifetime":    {"/publish/n.all", "x", header("Nats-TTL", "-1"), 400, "Nats-TTL", "second"},
		"endless lifetime":     {"/publish/n.all", "x", header("Nats-TTL", "never"), 400, "Nats-TTL", "second"},
		"reserved cloud type":  {"/publish/n.all", "x", header("ce-type", "tidemark.open"), 400, "ce-type", "reserved"},
		"encoded reserved":     {"/publish/n.all", "x", header("ce-type", "%74idemark.open", "Event-Type", "e"), 400, "ce-type", "reserved"},
		"attribute with lines": {"/publish/n.all", "x", header("ce-source", "a%0D%0ANats-Rollup:%20all"), 400, "ce-source", "control"},
		"attribute with NUL":   {"/publish/n.all", "x", header("ce-source", "a%00"), 400, "ce-source", "control"},
		"attribute with C1":    {"/publish/n.all", "x", header("ce-source", "a%C2%85"), 400, "ce-source", "control"},
		"attribute not UTF-8":  {"/publish/n.all", "x", header("ce-source", "%ff"), 400, "ce-source", "UTF-8"},
		"attribute with space": {"/publish/n.all", "x", header("ce-source", "%20a"), 400, "ce-source", "spaces"},
		"attribute cut":        {"/publish/n.all", "x", header("ce-source", "a%4"), 400, "ce-source", "percent"},
		"attribute twice":      {"/publish/n.all", "x", header("ce-id", "1", "ce-id", "2"), 400, "ce-id", "2 times"},
		"attribute's name":     {"/publish/n.all", "x", header("ce-a_b", "1"), 400, "ce-a_b", "attribute"},
		"attribute of no name": {"/publish/n.all", "x", header("ce-", "1"), 400, "ce-", "attribute"},
		"long cloud id":        {"/publish/n.all", "x", header("ce-source", "s", "ce-id", strings.Repeat("i", 257)), 400, "ce-id", "256"},
	} {
		t.Run(name, func(t *testing.T) {
			w, msgs := postBody(t, c.target, c.body, c.header)
			var p problemAnswer
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if len(msgs) > 0 || w.Code != c.status || p.Field != c.field || !strings.Contains(p.Detail, c.says) {
				t.Errorf("%d %s, published %+v; want %d for %q that says %q", w.Code, w.Body, msgs, c.status, c.field, c.says)
			}
		})
	}
}

func TestPublish_ContentEncoding_IsRefused(t *testing.T) {
	for _, target := range []string{"/publish/n.all", "/publish?user=a", "/publish"} {
		for encoding, want := range map[string]int{"gzip": 415, "br, gzip": 415, "identity": 200, "Identity": 200, "": 200} {
			w, msgs := postBody(t, target, `{"subject":"n.all","data":"x"}`, header("Content-Encoding", encoding))
			if w.Code != want || len(msgs) > 0 != (want == 200) || want == 415 && !strings.Contains(w.Body.String(), "Content-Encoding: "+encoding+" is not supported") {
				t.Errorf("%s, %q: %d %s", target, encoding, w.Code, w.Body)
			}
		}
	}
}

func TestPublish_UnknownQueryParameter_IsRefused(t *testing.T) {
	for _, target := range []string{"/publish/n.all?ends=1", "/publish/n.all?End=1", "/publish?user=a&end=1&x", "/publish?subject=n.all"} {
		w, msgs := postBody(t, target, `{"subject":"n.all","data":"x"}`, nil)
		if w.Code != http.StatusBadRequest || len(msgs) > 0 || !strings.Contains(w.Body.String(), "is not known; the parameters are user, end, end_on") {
			t.Errorf("%s: %d %s, published %+v", target, w.Code, w.Body, msgs)
		}
	}
	h := feedhttp.NewPublishBody(feedhttp.PublishOptions{Publisher: &recorder{}, QueryParams: []string{"token"}})
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/publish/x?token=1&token=2", strings.NewReader("x"))
	r.SetPathValue("subject", "n.all")
	if h.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("a parameter of the identity: %d %s", w.Code, w.Body)
	}
}

func TestPublish_StreamIsSourced_PositionIsNull(t *testing.T) {
	res := feedhttp.ResultOf(feed.Result{Ack: feed.Ack{Stream: "ORIGIN", Position: feed.Position{Seq: 7, Epoch: "e1"}, Sourced: true}})
	text, err := json.Marshal(res)
	if want := `{"stream":"ORIGIN","seq":7,"position":null}`; err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
	var back feedhttp.PublishResult
	if err := json.Unmarshal(text, &back); err != nil || back != res {
		t.Errorf("read back as %+v, %v", back, err)
	}
	if text, err := json.Marshal(feedhttp.PublishResult{Error: "e"}); err != nil || string(text) != `{"error":"e"}` {
		t.Errorf("of an event that is not stored: %s, %v", text, err)
	}
}
