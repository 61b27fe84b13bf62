package server_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/sse"
)

// formAttacks use the other forms of a response against the limits of a user.
func formAttacks() (out []attack) {
	for _, accept := range []string{"nonsense", "text/html", "application/json;q=0", "*/*;q=0", ",,,;;;", "application/json;q=-1", "application/json;q=2", strings.Repeat("a/b,", 1000), "application/*+json", "\u0430pplication/json", "application /json"} {
		out = append(out, attack{name: "accept " + accept[:min(len(accept), 40)], path: "/events?user=mallory", header: []string{"Accept", accept}, want: []int{http.StatusNotAcceptable}})
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=1001", "limit=", "limit=%00", "limit=1e9", "limit=99999999999999999999", "wait=-1", "wait=56", "wait=1h", "wait=", "wait=NaN", "wait=%2B%2B1", "wait=0x1", "limit=1%0d%0aX-A:%20b"} {
		out = append(out, attack{name: "poll " + query, path: "/events?user=mallory&" + query, header: []string{"Accept", "application/json"}, want: bad})
	}
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		header := []string{"Accept", accept}
		out = append(out,
			attack{name: accept + " of a foreign subject", path: "/events?user=mallory&subject=notifications.user.alice", header: header, want: forbidden},
			attack{name: accept + " of all subjects", path: "/events?user=mallory&subject=%3E&from=all", header: header, want: forbidden},
			attack{name: accept + " from the beginning", path: "/events?user=mallory&from=all", header: header, want: streams, as: "mallory"},
			attack{name: accept + " at the position of others", path: "/events?user=mallory&last_event_id=0", header: header, want: streams, as: "mallory"},
			attack{name: accept + " with a broken position", path: "/events?user=mallory&last_event_id=%22%0d%0a%3Cscript%3E", header: header, want: streams, as: "mallory"},
			attack{name: accept + " by POST", method: http.MethodPost, path: "/events?user=mallory", header: header, want: []int{http.StatusMethodNotAllowed}},
		)
	}
	return append(out,
		attack{name: "envelope from the beginning", path: "/events?user=mallory&envelope=1&from=all", want: streams, as: "mallory"},
		attack{name: "envelope of something else", path: "/events?user=mallory&envelope=2", want: bad},
		attack{name: "poll with a callback", path: "/events?user=mallory&callback=alert&jsonp=x", header: []string{"Accept", "application/json"}, want: streams, as: "mallory"},
	)
}

// foreignPolls are polls by pages of other origins, with the cookie of the user.
func foreignPolls() (out []attack) {
	cookie := "tide=" + token(claims{"sub": "mallory"})
	for _, site := range [][]string{
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"},
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script", "Referer", "https://evil.example/"},
	} {
		header := append([]string{"Cookie", cookie, "Accept", "application/json"}, site...)
		out = append(out, attack{name: "poll by " + strings.Join(site, " "), path: "/events?from=all", header: header, want: streams, as: "mallory"})
	}
	return append(out,
		attack{name: "poll with a broken cookie", path: "/events?wait=55", header: []string{"Cookie", "tide=x", "Accept", "application/json"}, want: unknown},
		attack{name: "poll without a token", path: "/events?wait=55", header: []string{"Accept", "application/json"}, want: unknown},
	)
}

// checkPage checks an answer that is a page: other origins can neither read nor embed it, and no cache keeps it.
func checkPage(t *testing.T, resp *http.Response, body []byte) {
	t.Helper()
	h := resp.Header
	if h.Get("Access-Control-Allow-Origin") != "" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(h.Get("Cache-Control"), "no-store") || !strings.Contains(h.Get("Vary"), "Cookie") || !strings.Contains(h.Get("Vary"), "Origin") {
		t.Errorf("headers of a page: %v", h)
	}
	var page struct {
		Events, Gaps []json.RawMessage
		Position     string
	}
	if err := json.Unmarshal(body, &page); err != nil || page.Events == nil || page.Gaps == nil || page.Position == "" {
		t.Errorf("the page %.300q: %v", body, err)
	}
}

// eventReader reads the events of a connection in any form.
type eventReader interface{ Next() (sse.Event, error) }

// envelopeReader reads events out of their envelopes.
type envelopeReader struct {
	sse   *sse.Decoder
	lines *bufio.Reader
}

// newEventReader returns the reader for the form of a response.
func newEventReader(resp *http.Response, path string) eventReader {
	switch {
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-ndjson"):
		return &envelopeReader{lines: bufio.NewReader(resp.Body)}
	case strings.Contains(path, "envelope=1"):
		return &envelopeReader{sse: sse.NewDecoder(resp.Body)}
	}
	return sse.NewDecoder(resp.Body)
}

func (r *envelopeReader) Next() (sse.Event, error) {
	text, typ, err := r.next()
	if err != nil || r.sse != nil && strings.HasPrefix(typ, "tidemark.") {
		return sse.Event{Type: typ, Data: text}, err
	}
	var e struct {
		Type string
		Data json.RawMessage
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return sse.Event{}, err
	}
	var data string
	if json.Unmarshal(e.Data, &data) != nil {
		data = string(e.Data)
	}
	return sse.Event{Type: e.Type, Data: []byte(data)}, nil
}

func (r *envelopeReader) next() (text []byte, typ string, err error) {
	if r.sse != nil {
		ev, err := r.sse.Next()
		return ev.Data, ev.Type, err
	}
	for len(text) < 2 { // an empty line
		if text, err = r.lines.ReadBytes('\n'); err != nil {
			return nil, "", io.ErrUnexpectedEOF
		}
	}
	return text, "", nil
}
