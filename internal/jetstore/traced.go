package jetstore

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
)

// Headers of W3C Trace Context. They are written in lower case, as it has them; NATS headers keep
// case, and publishers that go by HTTP's rules begin them with a capital.
const (
	traceHeader      = "traceparent"
	traceStateHeader = "tracestate"
)

// Traced is a stored event whose publisher wants its way to be seen.
type Traced struct {
	Seq    uint64
	Stored time.Time // by the clock of NATS
	feed.TraceContext
}

// trace gives an event that the tail has read a trace, where it has a traceparent that is sampled.
func (l *Store) trace(ev *feed.Event, header nats.Header) {
	if l.opts.Trace == nil || len(header) == 0 {
		return
	}
	parent := headerOf(header, traceHeader)
	// 00-TRACE-PARENT-FLAGS: the lowest bit of the last digit is "sampled".
	if len(parent) < 55 || !strings.ContainsRune("13579bdf", rune(parent[54])) {
		return
	}
	ev.Trace = l.opts.Trace(Traced{ev.Seq, ev.Time, feed.TraceContext{Parent: parent, State: headerOf(header, traceStateHeader)}})
}

func headerOf(header nats.Header, name string) string {
	if value := header.Get(name); value != "" {
		return value
	}
	return header.Get(strings.ToUpper(name[:1]) + name[1:])
}

// storeTrace writes the headers of a message.
func storeTrace(header nats.Header, trace feed.TraceContext) {
	if trace.Parent == "" {
		return
	}
	header.Set(traceHeader, trace.Parent)
	if trace.State != "" {
		header.Set(traceStateHeader, trace.State)
	}
}
