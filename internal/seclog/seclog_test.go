package seclog_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/internal/testkit"
)

// total returns the number of requests counted by the messages of an action.
func total(t *testing.T, text, action string) (lines, requests int) {
	t.Helper()
	for line := range strings.Lines(text) {
		var l struct {
			Msg, Action string
			Omitted     int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Action != action {
			continue
		}
		lines++
		requests += l.Omitted
		if l.Msg == "security: request rejected" {
			requests++
		}
	}
	return lines, requests
}

// During a flood every request is counted, and the log stays small.
func TestRefused_Flood_IsSummed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &testkit.Log{}
		l := seclog.New(slog.New(slog.NewJSONHandler(out, nil)))
		for range 10_000 {
			l.Refused(seclog.Event{Action: seclog.Login, Reason: "no", Remote: "192.0.2.1"})
		}
		l.Refused(seclog.Event{Action: seclog.Publish, Reason: "no", Remote: "192.0.2.1", Key: "billing"})
		if lines, requests := total(t, out.String(), "login"); lines != 20 || requests != 20 {
			t.Errorf("at once: %d lines of %d requests", lines, requests)
		}
		if lines, _ := total(t, out.String(), "publish"); lines != 1 {
			t.Errorf("another action: %d lines", lines)
		}
		time.Sleep(11 * time.Second) // in the synctest bubble
		synctest.Wait()
		if lines, requests := total(t, out.String(), "login"); lines != 21 || requests != 10_000 {
			t.Errorf("later: %d lines of %d requests", lines, requests)
		}
		for range 30 {
			l.Refused(seclog.Event{Action: seclog.Login, Reason: strings.Repeat("x", 1000)})
		}
		l.Close()
		if _, requests := total(t, out.String(), "login"); requests != 10_030 {
			t.Errorf("at the end: %d requests", requests)
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 500 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	})
}

func TestZeroValue_WritesNothing(t *testing.T) {
	var l *seclog.Log
	l.Refused(seclog.Event{})
	l.Accepted("drain", "", "")
	l.Close()
}
