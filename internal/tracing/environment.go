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

// Environment contains the settings of OpenTelemetry's standard variables.
type Environment struct {
	// Endpoint is the URL for Options.Endpoint. It is empty if no variable sets it, or if a variable
	// disables traces.
	Endpoint string
	// Variable is the name of the variable with Endpoint.
	Variable string
}

// FromEnvironment reads the endpoint from OpenTelemetry's variables.
//
// The endpoint is OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or else OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces.
// OTEL_SDK_DISABLED=true and OTEL_TRACES_EXPORTER=none disable traces. FromEnvironment returns an error with
// the name of the variable for unsupported settings: another exporter, or a protocol other than
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

// newResource describes the process. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME override the attributes
// of this package. With an error about a variable it also returns the resource without that variable.
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

// The attributes of OpenTelemetry's conventions for messaging. They are shared to save allocations.
var (
	asPublish = messaging("publish", "send")
	asReceive = messaging("receive", "receive")
	asDeliver = messaging("deliver", "process")
	asReplay  = messaging("replay", "receive")
)

// messaging returns the attributes of an operation. The conventions define no value for NATS, but permit
// other values.
func messaging(name, kind string) trace.SpanStartEventOption {
	return trace.WithAttributes(
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.operation.name", name),
		attribute.String("messaging.operation.type", kind),
	)
}
