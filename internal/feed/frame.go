package feed

import (
	"sync"
	"sync/atomic"

	"github.com/tidemark/tidemark/pkg/sse"
)

// frameOverhead is the memory of a frame in addition to its payload and subject: the struct, its place
// in the window and in the list of its subject, the field names and the id on the wire.
const frameOverhead = 256

// Frame is one event in its wire formats: that of SSE ([Frame.Wire]) and the envelope
// ([Frame.AppendEnvelope]). Each is encoded once, when the first connection needs it, and shared by all
// connections. A frame does not change, except for the mark that the stream no longer has the event.
//
// There are very many frames: fields are ordered so that a frame is an allocation of 160 bytes.
type Frame struct {
	Seq     uint64
	Subject string

	stored     int64 // nanoseconds since 1970
	expires    int64 // by the same clock; 0 for never
	of         *incarnationFrames
	trace      *Trace
	cloudEvent *CloudEvent
	envelope   atomic.Pointer[envelope] // nil while it is not kept
	bytes      int32                    // see Size
	end        bool                     // it completes its subject
	removed    atomic.Bool              // the stream no longer has the event: it must not be sent
	encode     sync.Once
	typ        string
	data       []byte // released once wire is there, unless wire does not have every byte
	wire       []byte
}

func newFrame(of *incarnationFrames, ev Event) *Frame {
	f := &Frame{
		Seq: ev.Seq, Subject: ev.Subject, of: of, typ: ev.Type, data: ev.Data, trace: ev.Trace,
		cloudEvent: ev.CloudEvent, bytes: int32(ev.size()), end: ev.End, //nolint:gosec // G115: a message of NATS has at most 64 MiB
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
	n := wireSize(ev.Data, ev.Subject, ev.Type) + ev.CloudEvent.size()
	if !reversible(ev.Data) {
		n += len(ev.Data)
	}
	return n
}

// wireSize is about the size of the wire format.
func wireSize(data []byte, subject, typ string) int {
	return len(data) + len(subject) + len(typ) + frameOverhead
}

// Wire returns the whole frame as it goes out in SSE, its blank line included. Callers share it
// and must not change it.
func (f *Frame) Wire() []byte {
	f.encode.Do(func() {
		var id [20 + 1 + maxEpochLen]byte
		size := wireSize(f.data, f.Subject, f.typ)
		f.wire = sse.AppendEvent(make([]byte, 0, size), sse.Event{
			ID:   f.position().Append(id[:0]),
			Type: f.typ, Data: f.data,
		})
		f.typ = ""
		if f.Size() == size+f.cloudEvent.size() { // wire has all of data
			f.data = nil
		}
	})
	return f.wire
}

func (f *Frame) position() Position { return Position{f.Seq, f.of.epoch} }

// Stored returns when the event was stored, in nanoseconds since 1970. The clock is that of the stream's
// leader. It is 0 where the time is not known.
func (f *Frame) Stored() int64 { return f.stored }

// End reports that the event completes its subject, unless a later event of the subject follows.
func (f *Frame) End() bool { return f.end }

// Trace returns the Trace of a sampled event; nil for nearly all frames.
func (f *Frame) Trace() *Trace { return f.trace }

// Size is about how many bytes the frame holds in memory.
func (f *Frame) Size() int { return int(f.bytes) }
