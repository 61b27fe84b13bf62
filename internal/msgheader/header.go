// Package msgheader names the headers of NATS messages that have a meaning for events.
package msgheader

// The headers.
const (
	// Type names the type of an event.
	Type = "Event-Type"

	// CloudEventType names the type of an event in the binary mode of CloudEvents.
	CloudEventType = "ce-type"

	// CloudEventPrefix begins the headers of all attributes of a CloudEvent in the binary mode, in lower case.
	CloudEventPrefix = "ce-"

	// CloudEventID, CloudEventSource, CloudEventTime, CloudEventSubject and CloudEventSchema are attributes of a
	// CloudEvent. Clients receive them and the extension attributes in the envelope of the event.
	CloudEventID      = "ce-id"
	CloudEventSource  = "ce-source"
	CloudEventTime    = "ce-time"
	CloudEventSubject = "ce-subject"
	CloudEventSchema  = "ce-dataschema"

	// End with the value EndValue completes the subject of its message, until another message of the subject
	// follows.
	End      = "Tidemark-End"
	EndValue = "1"

	// TTL is how long the server keeps a message, where the stream allows it.
	TTL = "Nats-TTL"

	// TraceParent and TraceState are those of W3C Trace Context, in lower case as it has them. NATS
	// headers keep case, and publishers that follow HTTP begin them with a capital.
	TraceParent = "traceparent"
	TraceState  = "tracestate"
)
