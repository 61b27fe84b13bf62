package jetlog

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Traced is an event whose publisher wants its way to be seen.
type Traced struct {
	Subject string
	Seq     uint64
	Stored  time.Time // by the clock of NATS
	Parent  string    // traceparent, as it was published; it need not be well-formed
}

// traced tells of a message that the tail has received. Those from before would be a burst at
// each start, of traces that have long ended.
func (l *Log) traced(msg *nats.Msg, m metadata) {
	if l.opts.Traced == nil || len(msg.Header) == 0 || m.nanos < l.opened {
		return
	}
	// 00-TRACE-PARENT-FLAGS: the lowest bit of the last digit is "sampled".
	parent := msg.Header.Get(traceHeader)
	if len(parent) < 55 || !strings.ContainsRune("13579bdf", rune(parent[54])) {
		return
	}
	l.opts.Traced(Traced{Subject: msg.Subject, Seq: m.seq, Stored: time.Unix(0, m.nanos), Parent: parent})
}
