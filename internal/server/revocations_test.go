package server_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// Messages on the subject of revocations cost the node and its log a bounded amount, whatever their data, and are
// counted.
func TestRevocations_HugeAndInvalidMessages_AreBounded(t *testing.T) {
	var log testkit.Log
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	before := len(log.String())
	long := strings.Repeat("a", 500_000)
	for _, message := range []string{`{"user":"` + long + `"}`, `{"` + long + `":1}`, `{"token":"` + long[:256] + `"}`, "not json", `{"user":"1"} trailing`} {
		for range 20 {
			if err := r.nc.Publish(revocation.Subject, []byte(message)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if err := r.nc.Publish(revocation.Subject, []byte(`{"user":"42"}`)); err != nil {
			t.Fatal(err)
		}
	}
	r.eventuallyScrape(map[string]float64{
		`revocation_messages_total{result="invalid"}`: 100, `revocation_messages_total{result="applied"}`: 2,
		`revocations`: 1, `revocations_evicted_total`: 0,
	})
	text := log.String()[before:]
	if n := strings.Count(text, "revocation: invalid message; ignored"); n != 1 {
		t.Errorf("%d lines about invalid messages, want 1 in ten seconds", n)
	}
	for line := range strings.Lines(text) {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes: %.100s", len(line), line)
		}
	}
}
