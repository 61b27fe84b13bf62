package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func each(statuses []int) (out [][]int) {
	for _, s := range statuses {
		out = append(out, []int{s})
	}
	return out
}

// readAnswer checks an answer that is not a stream of events.
func (g *target) readAnswer(t *testing.T, a attack, resp *http.Response) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("the answer is incomplete: %v", err)
	}
	if resp.StatusCode < 400 {
		if strings.HasPrefix(a.path, "/events") && resp.Header.Get("Content-Type") == "application/json" {
			checkPage(t, resp, body)
		}
		return
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if a.plain {
		if kind != "text/plain" || !resp.Close || len(body) > 200 {
			t.Errorf("%s %v: %q", resp.Status, resp.Header, body)
		}
		return
	}
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if kind != "application/problem+json" || json.Unmarshal(body, &p) != nil && a.method != http.MethodHead {
		t.Errorf("the answer is not a problem document: %s %v: %q", resp.Status, resp.Header, body)
	}
	if a.method != http.MethodHead && (p.Status != resp.StatusCode || p.Detail == "" || p.Type == "" || p.Title == "") {
		t.Errorf("%s: %q", resp.Status, body)
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a cache may keep the answer: %v", resp.Header)
	}
	if (resp.StatusCode == http.StatusUnauthorized) != strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer ") && resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%s: WWW-Authenticate is %q", resp.Status, resp.Header.Get("WWW-Authenticate"))
	}
}

// readStream reads up to the marker of a probe, which follows anything that must not be received.
func (g *target) readStream(t *testing.T, a attack, resp *http.Response) {
	t.Helper()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("a stream with %s", resp.Status)
	}
	dec, marker := newEventReader(resp, a.path), ""
	for {
		ev, err := dec.Next()
		if err != nil {
			t.Errorf("the stream ended: %v", err)
			return
		}
		switch {
		case ev.Type == "tidemark.close":
			if !a.ends {
				t.Errorf("the connection was closed: %s", ev.Data)
			}
			g.probe()
			return
		case ev.Type == "tidemark.open":
			g.checkSubjects(t, a, ev.Data)
			g.unchanged(t, a.stored)
			a.stored = 0
			marker = g.probe()
		case string(ev.Data) == marker:
			return
		}
	}
}

func (g *target) checkSubjects(t *testing.T, a attack, data []byte) {
	t.Helper()
	var open struct{ Subjects []string }
	if err := json.Unmarshal(data, &open); err != nil {
		t.Errorf("%s: %v", data, err)
	}
	want := slices.Clone(a.gets)
	if !a.without {
		want = append(want, "notifications.broadcast")
		if a.as != "" {
			want = append(want, "notifications.user."+a.as)
		}
	}
	slices.Sort(want)
	if !slices.Equal(open.Subjects, want) {
		t.Errorf("the connection receives %q, want %q", open.Subjects, want)
	}
}

// nothingMore checks that the connection carries no further answer.
func (g *target) nothingMore(t *testing.T, c net.Conn, br *bufio.Reader) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	rest, _ := io.ReadAll(br)
	if bytes.Contains(rest, []byte("HTTP/1.")) {
		t.Errorf("another answer follows: %.300q", rest)
	}
}

// judge looks in all received bytes for secrets, and for events of other users.
func (g *target) judge(t *testing.T, seen []byte) {
	t.Helper()
	if bytes.Contains(seen, []byte(private)) {
		t.Errorf("received an event for alice: %.2000q", seen)
	}
	for _, s := range g.secrets {
		if bytes.Contains(seen, []byte(s)) {
			t.Errorf("the answer contains a token or a key: %.2000q", seen)
		}
	}
}

// judgeLog looks for them in the node's log.
func (g *target) judgeLog(t *testing.T) {
	t.Helper()
	text := g.log.String()
	for _, s := range append(g.secrets, private) {
		if strings.Contains(text, s) {
			t.Errorf("the log tells %q", s)
		}
	}
	if strings.Contains(text, "level=ERROR") {
		t.Errorf("the node logged an error:\n%.3000s", text[strings.Index(text, "level=ERROR"):])
	}
}
