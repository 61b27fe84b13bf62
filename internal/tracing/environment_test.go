package tracing_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/tracing"
	"github.com/tidemark/tidemark/internal/tracing/tracestest"
)

func TestFromEnvironment(t *testing.T) {
	const traced, base = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
	type env = map[string]string
	for name, c := range map[string]struct {
		env      env
		want     tracing.Environment
		mistaken string
	}{
		"nothing":           {env{}, tracing.Environment{}, ""},
		"base":              {env{base: "http://c:4318"}, tracing.Environment{Endpoint: "http://c:4318/v1/traces", Variable: base}, ""},
		"base with a slash": {env{base: "https://c/otlp/"}, tracing.Environment{Endpoint: "https://c/otlp/v1/traces", Variable: base}, ""},
		"own":               {env{base: "http://c:4318", traced: "http://d/spans"}, tracing.Environment{Endpoint: "http://d/spans", Variable: traced}, ""},
		"own without path":  {env{traced: "http://d:4318"}, tracing.Environment{}, traced},
		"no URL":            {env{base: "c:4318"}, tracing.Environment{}, base},
		"disabled":          {env{base: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, tracing.Environment{}, ""},
		"exporter none":     {env{base: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, tracing.Environment{}, ""},
		"exporter otlp":     {env{base: "http://c:4318", "OTEL_TRACES_EXPORTER": "otlp"}, tracing.Environment{Endpoint: "http://c:4318/v1/traces", Variable: base}, ""},
		"other exporter":    {env{base: "http://c:4318", "OTEL_TRACES_EXPORTER": "zipkin"}, tracing.Environment{}, "OTEL_TRACES_EXPORTER"},
		"gRPC":              {env{base: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, tracing.Environment{}, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"gRPC but traces":   {env{base: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, tracing.Environment{Endpoint: "http://c:4318/v1/traces", Variable: base}, ""},
		"a password":        {env{base: "http://u:hush@c:4318"}, tracing.Environment{}, base},
	} {
		got, err := tracing.FromEnvironment(func(name string) string { return c.env[name] })
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if (err != nil) != (c.mistaken != "") || err != nil && (!strings.HasPrefix(err.Error(), c.mistaken+": ") || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResource_Environment_WinsOverDefaults(t *testing.T) {
	send := func() *tracestest.Receiver {
		otel := tracestest.NewReceiver(t)
		made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Node: "n1", Version: "v1"})
		made.Events("S")(traced(1, tracestest.Parent(trace1, "01"))).Enqueued(0)
		end()
		return otel
	}
	for otel, want := range map[*tracestest.Receiver][3]string{
		send(): {"tidemark", "n1", "none"},
		func() *tracestest.Receiver {
			t.Setenv("OTEL_SERVICE_NAME", "notifier")
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other")
			return send()
		}(): {"notifier", "n1", "test"},
	} {
		for i, name := range []string{"service.name", "service.instance.id", "deployment.environment.name"} {
			if got := otel.Resource(name); got != want[i] {
				t.Errorf("%s is %q, want %q", name, got, want[i])
			}
		}
	}
}

func TestResource_EnvironmentIsMalformed_IsLogged(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no pair")
	otel := tracestest.NewReceiver(t)
	var log bytes.Buffer
	made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	made.Events("S")(traced(1, tracestest.Parent(trace1, "01"))).Enqueued(0)
	end()
	if !strings.Contains(log.String(), "OTEL_RESOURCE_ATTRIBUTES") || otel.Resource("service.name") != "tidemark" {
		t.Errorf("service.name is %q; log: %s", otel.Resource("service.name"), log.String())
	}
}

func TestSpans_NameSystemAndOperation(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Sample: 1})
	ev := made.Events("S")(traced(1, tracestest.Parent(trace1, "01")))
	ev.Enqueued(1)
	ev.Sent()
	made.Replayed()(feedhttp.Replay{Started: time.Now()})
	store := made.Publisher(new(failing))
	made.Handler("/publish", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		store.Publish(r.Context(), feed.Message{Subject: "a"})
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/publish", nil))
	end()
	want := map[string][3]string{
		"store": {"nats", "publish", "send"}, "tail": {"nats", "receive", "receive"}, "deliver": {"nats", "deliver", "process"},
		"replay": {"nats", "replay", "receive"}, "POST /publish": {"none", "none", "none"},
	}
	spans := otel.Spans("")
	if len(spans) != len(want) {
		t.Errorf("%d spans, want %d", len(spans), len(want))
	}
	for _, s := range spans {
		for i, name := range []string{"messaging.system", "messaging.operation.name", "messaging.operation.type"} {
			if got := tracestest.Attribute(s, name); got != want[s.GetName()][i] {
				t.Errorf("%s: %s is %q, want %q", s.GetName(), name, got, want[s.GetName()][i])
			}
		}
	}
}
