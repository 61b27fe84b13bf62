package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/pkg/sse"
)

// TestCloudEvents_SDKReads_EachForm reads events of a NATS producer with the SDK.
func TestCloudEvents_SDKReads_EachForm(t *testing.T) {
	t.Parallel()
	s := serve(t)
	js := newProducer(t, s).js
	for _, msg := range []*nats.Msg{
		{Data: []byte("{\n\"total\": 12}"), Header: nats.Header{
			"Event-Type": {"order.made"}, "ce-id": {"7"}, "ce-source": {"https://shop.example/orders"}, "ce-time": {"2026-01-31T12:00:00Z"}, "ce-region": {"eu"},
		}},
		{Data: []byte("two\r\nlines")},
		{Data: []byte{0xff, 0xfe, 0}},
	} {
		msg.Subject = "notifications.user.42"
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	for form, read := range map[string]func(io.Reader, int) [][]byte{"envelope": readEnvelopes, "ndjson": readLines, "json": readPage} {
		path, accept := "/events?user=42&from=all", map[string]string{"envelope": "text/event-stream", "ndjson": "application/x-ndjson", "json": "application/json"}[form]
		if form == "envelope" {
			path += "&envelope=1"
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		texts := read(resp.Body, 3)
		resp.Body.Close()
		if len(texts) != 3 {
			t.Fatalf("%s: %d events: %q", form, len(texts), texts)
		}
		events := make([]cloudevents.Event, len(texts))
		for i, text := range texts {
			if err := json.Unmarshal(text, &events[i]); err != nil {
				t.Fatalf("%s: %s: %v", form, text, err)
			}
			if err := events[i].Validate(); err != nil || events[i].Subject() != "notifications.user.42" || events[i].Source() != "NOTIFICATIONS" || events[i].Time().IsZero() {
				t.Errorf("%s: %v: %v", form, events[i], err)
			}
		}
		var order struct{ Total int }
		if err := events[0].DataAs(&order); err != nil || order.Total != 12 || events[0].Type() != "order.made" || events[0].DataContentType() != "application/json" {
			t.Errorf("%s: %v: %v", form, events[0], err)
		}
		for name, want := range map[string]string{"originid": "7", "originsource": "https://shop.example/orders", "origintime": "2026-01-31T12:00:00Z", "region": "eu"} {
			if got := events[0].Extensions()[name]; got != want {
				t.Errorf("%s: the extension %s is %v, want %s", form, name, got, want)
			}
		}
		if string(events[1].Data()) != "two\r\nlines" || events[1].Type() != "message" || !bytes.Equal(events[2].Data(), []byte{0xff, 0xfe, 0}) {
			t.Errorf("%s: data %q and %q", form, events[1].Data(), events[2].Data())
		}
	}
}

func readEnvelopes(body io.Reader, n int) (texts [][]byte) {
	for dec := sse.NewDecoder(body); len(texts) < n; {
		ev, err := dec.Next()
		if err != nil {
			return texts
		}
		if !bytes.HasPrefix([]byte(ev.Type), []byte("tidemark.")) {
			texts = append(texts, bytes.Clone(ev.Data))
		}
	}
	return texts
}

func readLines(body io.Reader, n int) (texts [][]byte) {
	for dec := json.NewDecoder(body); len(texts) < n; {
		var line json.RawMessage
		if dec.Decode(&line) != nil {
			return texts
		}
		if !bytes.Contains(line, []byte(`"type":"tidemark.`)) {
			texts = append(texts, line)
		}
	}
	return texts
}

func readPage(body io.Reader, _ int) (texts [][]byte) {
	var page struct{ Events []json.RawMessage }
	if json.NewDecoder(body).Decode(&page) != nil {
		return nil
	}
	for _, event := range page.Events {
		texts = append(texts, event)
	}
	return texts
}
