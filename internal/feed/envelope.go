package feed

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// incarnationFrames is shared by the frames of one incarnation. It has the epoch, and counts the bytes of the
// envelopes that the frames keep. The zero value keeps no envelopes: it is for frames with one reader.
type incarnationFrames struct {
	epoch string
	limit int64         // of bytes
	bytes atomic.Int64  // of the envelopes that are kept
	from  atomic.Uint64 // frames up to this sequence keep none
}

// keeps reports whether a frame with a sequence and a size may keep its envelope.
func (i *incarnationFrames) keeps(seq uint64, size int) bool {
	return seq > i.from.Load() && i.bytes.Load()+int64(size) <= i.limit
}

// envelope is the CloudEvents JSON of a frame, within the SSE event that has it as its data:
// `event: T\ndata: JSON\nid: P\n\n`. All forms that use the JSON are parts of it.
type envelope struct {
	wire     []byte
	from, to int // of the JSON; a line end follows
}

// envelopeOverhead is the memory of an envelope in addition to its bytes.
const envelopeOverhead = 64

func (e *envelope) size() int64 { return int64(cap(e.wire) + envelopeOverhead) }

// AppendEnvelope appends an SSE event with the envelope as its data. Callers pass the same source for all frames
// of a feed: a URI reference that names the stream.
func (f *Frame) AppendEnvelope(dst []byte, source string) []byte {
	if e := f.shared(source); e != nil {
		return append(dst, e.wire...)
	}
	dst, _, _ = f.encodeEnvelope(dst, source)
	return dst
}

// AppendLine appends the envelope as a line of NDJSON.
func (f *Frame) AppendLine(dst []byte, source string) []byte {
	return append(f.AppendJSON(dst, source), '\n')
}

// AppendJSON appends the envelope alone. It has no line end.
func (f *Frame) AppendJSON(dst []byte, source string) []byte {
	if e := f.shared(source); e != nil {
		return append(dst, e.wire[e.from:e.to]...)
	}
	typ, data := f.content()
	return f.appendJSON(dst, source, typ, data)
}

// shared returns the envelope that connections share. It is nil if the frame does not keep it.
func (f *Frame) shared(source string) *envelope {
	if e := f.envelope.Load(); e != nil {
		return e
	}
	if !f.of.keeps(f.Seq, f.Size()) {
		return nil
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	wire, from, to := f.encodeEnvelope((*buf)[:0], source)
	if cap(wire) <= maxScratch {
		*buf = wire[:0]
	}
	e := &envelope{bytes.Clone(wire), from, to}
	if f.envelope.CompareAndSwap(nil, e) {
		f.of.bytes.Add(e.size())
		if f.Seq <= f.of.from.Load() || f.removed.Load() {
			f.dropEnvelope() // it left the window while it was encoded
		}
	}
	return e
}

// scratch has buffers for envelopes whose size is not known yet.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

const maxScratch = 64 << 10

// dropEnvelope releases an envelope that is kept.
func (f *Frame) dropEnvelope() {
	if e := f.envelope.Swap(nil); e != nil {
		f.of.bytes.Add(-e.size())
	}
}

// encodeEnvelope appends the SSE event. The JSON is dst[from:to].
func (f *Frame) encodeEnvelope(dst []byte, source string) (out []byte, from, to int) {
	typ, data := f.content()
	if len(typ) > 0 {
		dst = append(append(append(dst, "event: "...), typ...), '\n')
	}
	dst = append(dst, "data: "...)
	from = len(dst)
	dst = f.appendJSON(dst, source, typ, data)
	to = len(dst)
	dst = append(dst, "\nid: "...)
	dst = f.position().Append(dst)
	return append(dst, "\n\n"...), from, to
}

// content returns the type and the data of the event. Frames of the window are read by many connections at
// once, so their content comes from the wire format, which does not change any more.
func (f *Frame) content() (typ, data []byte) {
	if f.of.limit == 0 && f.wire == nil {
		return []byte(f.typ), f.data // one reader
	}
	wire := f.Wire()
	if rest, ok := bytes.CutPrefix(wire, []byte("event: ")); ok {
		end := bytes.IndexByte(rest, '\n')
		typ, wire = rest[:end], rest[end+1:]
	}
	if f.data != nil {
		return typ, f.data
	}
	return typ, dataOf(wire)
}

// dataOf reads the data lines at the begin of an event. It allocates only for several lines.
func dataOf(wire []byte) (data []byte) {
	for n := 0; ; n++ {
		line, rest, _ := bytes.Cut(wire, []byte("\n"))
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			return data
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		switch n {
		case 0:
			data = value
		case 1:
			data = append(append(bytes.Clone(data), '\n'), value...)
		default:
			data = append(append(data, '\n'), value...)
		}
		wire = rest
	}
}

// reversible reports whether data can be read from the wire format of SSE. CR becomes LF there, and other data than
// UTF-8 becomes base64.
func reversible(data []byte) bool {
	return bytes.IndexByte(data, '\r') < 0 && utf8.Valid(data)
}

// CloudEvent has the attributes of a message in the binary mode of CloudEvents.
type CloudEvent struct {
	ID, Source, Time, Subject string
	Schema                    string // the attribute dataschema
	Extensions                []Attribute
}

// Attribute is an extension attribute of a CloudEvent.
type Attribute struct{ Name, Value string }

func (c *CloudEvent) size() int {
	if c == nil {
		return 0
	}
	n := len(c.ID) + len(c.Source) + len(c.Time) + len(c.Subject) + len(c.Schema) + 112
	for _, a := range c.Extensions {
		n += len(a.Name) + len(a.Value) + 32
	}
	return n
}

// ownAttributes are the attributes that Tidemark sets in an envelope, and the keys of its JSON. An extension
// has none of these names.
var ownAttributes = []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "originid", "originsource", "origintime", "originsubject"}

// maxExtensionName is the longest name of an extension: CloudEvents recommends 20 characters.
const maxExtensionName = 64

// ValidExtension reports whether a name can be that of an extension attribute in an envelope.
func ValidExtension(name string) bool {
	for _, own := range ownAttributes {
		if name == own {
			return false
		}
	}
	return name != "" && len(name) <= maxExtensionName && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
