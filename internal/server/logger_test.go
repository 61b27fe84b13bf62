package server_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
)

// TestLogger_FieldWithoutValue_IsLeftOut: "error": null in a line reads like a defect.
func TestLogger_FieldWithoutValue_IsLeftOut(t *testing.T) {
	level, err := server.ParseLogLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	logger, err := server.NewLogger(&out, level, "json")
	if err != nil {
		t.Fatal(err)
	}
	var none error
	logger.With("component", "nats").Warn("the connection is lost", "error", none, slog.Any("subject", nil), "times", 3)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if _, there := line["error"]; there || line["times"] != 3.0 || line["component"] != "nats" || line["message"] != "the connection is lost" {
		t.Errorf("%s", out.String())
	}
}
