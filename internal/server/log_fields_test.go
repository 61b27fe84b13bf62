package server_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// Readers of JSON keep one of two fields with the same name, and differ in which.
func TestLog_LinesOfAStream_NameItOnce(t *testing.T) {
	log := new(testkit.Log)
	r := newHarness(t, func(o *server.Options) {
		o.Streams = []jetstream.StreamConfig{testStream()}
		o.Streams[0].AllowMsgSchedules = true // about which both the node and the store's reader log a line
		o.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r.eventually("a line of the reader", func() bool { return strings.Contains(log.String(), "allow_msg_schedules") })
	r.eventually("a line of the feed", func() bool { return strings.Contains(log.String(), "following the stream") })
	for line := range strings.Lines(log.String()) {
		for _, name := range repeatedFields(t, line) {
			t.Errorf("%s occurs more than once: %s", name, line)
		}
	}
}

// repeatedFields returns the duplicate names of a JSON object.
func repeatedFields(t *testing.T, object string) (repeated []string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(object))
	if _, err := decoder.Token(); err != nil { // the brace
		t.Fatalf("%q: %v", object, err)
	}
	seen := make(map[string]bool)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatalf("%q: %v", object, err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatalf("%q: %v", object, err)
		}
		if seen[name.(string)] {
			repeated = append(repeated, name.(string))
		}
		seen[name.(string)] = true
	}
	return repeated
}
