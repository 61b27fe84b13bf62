package tracing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
)

// Environment is what OpenTelemetry's standard variables say of traces.
type Environment struct {
	// Endpoint is the URL for Options.Endpoint; empty where no variable names one, or where one
	// switches traces off.
	Endpoint string
	// Variable is the name of the variable that Endpoint is from.
	Variable string
}

// FromEnvironment returns where the variables of OpenTelemetry send traces:
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT as it is, else OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces.
// OTEL_SDK_DISABLED=true and OTEL_TRACES_EXPORTER=none are off. It returns an error, which names the
// variable, for what this package cannot do: another exporter, or a protocol other than
// http/protobuf.
func FromEnvironment(getenv func(string) string) (Environment, error) {
	e := endpointOf(getenv)
	if e.Endpoint == "" || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return Environment{}, nil
	}
	exporters := strings.Split(getenv("OTEL_TRACES_EXPORTER"), ",")
	switch {
	case slices.Contains(exporters, "none"):
		return Environment{}, nil
	case exporters[0] != "" && !slices.Contains(exporters, "otlp"):
		return Environment{}, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not supported; set otlp, or none", getenv("OTEL_TRACES_EXPORTER"))
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		protocol := getenv(name)
		if protocol == "" {
			continue
		}
		if protocol != "http/protobuf" {
			return Environment{}, fmt.Errorf("%s: %q is not supported; set http/protobuf and the collector's port for it (4318)", name, protocol)
		}
		break
	}
	if err := checkEndpoint(e.Endpoint); err != nil {
		return Environment{}, fmt.Errorf("%s: %w", e.Variable, err)
	}
	return e, nil
}

func endpointOf(getenv func(string) string) Environment {
	const own, common = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
	if endpoint := getenv(own); endpoint != "" {
		return Environment{Endpoint: endpoint, Variable: own}
	}
	if base := getenv(common); base != "" {
		return Environment{Endpoint: strings.TrimSuffix(base, "/") + "/v1/traces", Variable: common}
	}
	return Environment{}
}

// newResource describes the process. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over what
// is known here. The error is of the variables; the resource is complete but for what they say.
func newResource(opts Options) (*resource.Resource, error) {
	own := resource.NewSchemaless(
		attribute.String("service.name", "tidemark"),
		attribute.String("service.instance.id", opts.Node),
		attribute.String("service.version", opts.Version))
	theirs, err := resource.New(context.Background(), resource.WithFromEnv())
	if theirs == nil {
		return own, err
	}
	all, merged := resource.Merge(own, theirs)
	if merged != nil {
		return own, errors.Join(err, merged)
	}
	return all, err
}

// The attributes of OpenTelemetry's conventions for messaging. They are shared, as an event has some.
var (
	asPublish = messaging("publish", "send")
	asReceive = messaging("receive", "receive")
	asDeliver = messaging("deliver", "process")
	asReplay  = messaging("replay", "receive")
)

// messaging returns the attributes of an operation. The conventions have no value for NATS, and
// allow other values than theirs.
func messaging(name, kind string) trace.SpanStartEventOption {
	return trace.WithAttributes(
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.operation.name", name),
		attribute.String("messaging.operation.type", kind),
	)
}
