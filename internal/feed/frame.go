package feed

import (
	"sync"
	"sync/atomic"

	"github.com/tidemark/tidemark/pkg/sse"
)

// frameOverhead is the memory of a frame in addition to its payload and subject: the struct, its place
// in the window and in the list of its subject, the field names and the id on the wire.
const frameOverhead = 256

// Frame is one event in its wire format. It is encoded once, when the first connection needs it, and
// shared by all connections. It does not change, except for the mark that the stream no longer has the
// event.
type Frame struct {
	Seq     uint64
	Subject string

	size    int
	stored  int64       // nanoseconds since 1970
	expires int64       // by the same clock; 0 for never
	removed atomic.Bool // the stream no longer has the event: it must not be sent
	end     bool        // it completes its subject
	epoch   string
	trace   *Trace
	encode  sync.Once
	typ     string
	data    []byte // released once wire is there
	wire    []byte
}

func newFrame(epoch string, ev Event) *Frame {
	f := &Frame{
		Seq: ev.Seq, Subject: ev.Subject, epoch: epoch, typ: ev.Type, data: ev.Data, trace: ev.Trace,
		size: ev.size(), end: ev.End,
	}
	if !ev.Time.IsZero() {
		f.stored = ev.Time.UnixNano()
	}
	if !ev.Expires.IsZero() {
		f.expires = ev.Expires.UnixNano()
	}
	return f
}

// size is about how many bytes the event holds in memory as a frame.
func (ev *Event) size() int {
	return len(ev.Data) + len(ev.Subject) + len(ev.Type) + frameOverhead
}

// Wire returns the whole frame as it goes out, its blank line included. Callers share it
// and must not change it.
func (f *Frame) Wire() []byte {
	f.encode.Do(func() {
		var id [20 + 1 + maxEpochLen]byte
		f.wire = sse.AppendEvent(make([]byte, 0, f.size), sse.Event{
			ID:   Position{f.Seq, f.epoch}.Append(id[:0]),
			Type: f.typ, Data: f.data,
		})
		f.typ, f.data = "", nil
	})
	return f.wire
}

// Stored returns when the event was stored, in nanoseconds since 1970. The clock is that of the stream's
// leader. It is 0 where the time is not known.
func (f *Frame) Stored() int64 { return f.stored }

// End reports that the event completes its subject, unless a later event of the subject follows.
func (f *Frame) End() bool { return f.end }

// Trace returns the Trace of a sampled event; nil for nearly all frames.
func (f *Frame) Trace() *Trace { return f.trace }

// Size is about how many bytes the frame holds in memory.
func (f *Frame) Size() int { return f.size }
