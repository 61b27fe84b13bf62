package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/config"
)

func TestTraceOptions_EndpointOfEnvironment_RanksBelowKey(t *testing.T) {
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}
	grpc := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
	for name, c := range map[string]struct {
		key           string
		env           map[string]string
		endpoint, log string
	}{
		"neither":    {"", nil, "", ""},
		"key":        {"http://k/v1/traces", env, "http://k/v1/traces", ""},
		"variable":   {"", env, "http://c:4318/v1/traces", "variable=OTEL_EXPORTER_OTLP_ENDPOINT"},
		"not usable": {"", grpc, "", "set http/protobuf"},
	} {
		var log bytes.Buffer
		got := traceOptions(config.Traces{Endpoint: c.key, Rate: 7}, func(name string) string { return c.env[name] }, slog.New(slog.NewTextHandler(&log, nil)))
		if got.Endpoint != c.endpoint || got.Rate != 7 {
			t.Errorf("%s: %+v", name, got)
		}
		if !strings.Contains(log.String(), c.log) || (c.log == "") != (log.Len() == 0) {
			t.Errorf("%s: log %q, want %q", name, log.String(), c.log)
		}
	}
}
