package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/sse"
)

// wireLine matches every line that a stream of events may have, whatever is published.
var wireLine = regexp.MustCompile(`^(|:.*|retry: \d+|id: \d+-[0-9a-z-]+|event: [^\r\n\x00]+|data: .*|data:)$`)

// fieldCases are events that are accepted, and must not break out of their fields.
var fieldCases = []struct{ name, event, data, id, idempotency, want string }{
	{name: "line feeds", data: "a\n\nevent: tidemark.close\ndata: b\n\n", want: "a\n\nevent: tidemark.close\ndata: b\n\n"},
	{name: "carriage returns", data: "a\r\revent: tidemark.close\rdata: b\r\r", want: "a\n\nevent: tidemark.close\ndata: b\n\n"},
	{name: "both", data: "a\r\n\r\nid: 0-x\r\nretry: 0\r\n\r\n", want: "a\n\nid: 0-x\nretry: 0\n\n"},
	{name: "an id", data: "id: 99-zzz\nid: 98", want: "id: 99-zzz\nid: 98"},
	{name: "NUL", data: "a\x00\nid: 1\x00", want: "a\x00\nid: 1\x00"},
	{name: "line separators", data: "a\u2028data: b\u2029\u0085id: 1", want: "a\u2028data: b\u2029\u0085id: 1"},
	{name: "byte order mark", data: "\ufeffdata: b", want: "\ufeffdata: b"},
	{name: "chunks", data: "0\r\n\r\nHTTP/1.1 200 OK", want: "0\n\nHTTP/1.1 200 OK"},
	{name: "colon in the type", event: "a: b", data: "x y", want: "x y"},
	{name: "a field for a type", event: "data: b", data: "x y", want: "x y"},
	{name: "almost reserved", event: "Tidemark.close", data: "x y", want: "x y"},
	{name: "a header for an id", id: "Nats-Rollup: all", data: "x y", want: "x y"},
	{name: "NATS headers for an id", id: "NATS/1.0 503", data: "x y", want: "x y"},
	{name: "a wildcard for an idempotency key", idempotency: "> * a.b", data: "x y", want: "x y"},
}

// TestAbuse_RandomFields_LeakNothing publishes allowed events that would break out of a field, and reads the bytes
// of the responses.
func TestAbuse_RandomFields_LeakNothing(t *testing.T) {
	g := newTarget(t, func(*server.Options) {}, "/events?user=good")
	for _, c := range fieldCases {
		t.Run(c.name, func(t *testing.T) {
			conn := g.dial(t, "")
			defer conn.Close()
			_, _ = io.WriteString(conn, g.bytes(attack{path: "/events?user=mallory"}))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			wire := &bytes.Buffer{}
			dec := sse.NewDecoder(io.TeeReader(resp.Body, wire))
			if ev, err := dec.Next(); err != nil || ev.Type != "tidemark.open" {
				t.Fatalf("%s: %v", ev.Type, err)
			}
			body, _ := json.Marshal(map[string]string{"subject": "notifications.user.mallory", "event": c.event, "data": c.data, "id": c.id})
			header := []string{}
			if c.idempotency != "" {
				header = append(header, "Idempotency-Key", c.idempotency)
			}
			if status, answer := g.post("/publish", string(body), header...); status != http.StatusOK {
				t.Fatalf("%d %v", status, answer)
			}
			g.unchanged(t, 1)
			ev, err := dec.Next()
			if err != nil || ev.Type != c.event || string(ev.Data) != c.want || sequence(string(ev.ID)) != g.last {
				t.Errorf("received %q %q at %q (%v), want %q", ev.Type, ev.Data, ev.ID, err, c.want)
			}
			marker := g.probe()
			if ev, err := dec.Next(); err != nil || string(ev.Data) != marker || ev.Type != "" {
				t.Errorf("then received %q %q: %v", ev.Type, ev.Data, err)
			}
			for line := range strings.SplitSeq(wire.String(), "\n") {
				if !wireLine.MatchString(line) {
					t.Errorf("on the wire: %q", line)
				}
			}
			g.healthy(t)
		})
	}
}
