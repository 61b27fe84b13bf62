package sse

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// DefaultMaxEventSize is what a Decoder takes when MaxEventSize is not set, in bytes.
const DefaultMaxEventSize = 16 << 20

// Decoder reads events from a stream, by the rules of "Interpreting an event stream"
// (WHATWG HTML, section 9.2.6). Set its fields before the first call of Next. It has one
// user at a time.
//
// Bytes that are not UTF-8 are handed over as they came, where a browser would replace
// them.
type Decoder struct {
	// MaxEventSize bounds the data of one event together with the line being read, in
	// bytes. What goes beyond ends the stream with a *TooLargeError. 0 means
	// DefaultMaxEventSize.
	MaxEventSize int

	// OnComment, if set, is called from Next with each comment, without its colon and the
	// space after it. The text is valid during the call only.
	OnComment func(text []byte)

	lines lineReader
	begun bool // the first line was read, and with it a byte order mark

	// The event that is being read.
	typ   string
	data  []byte // each line with an LF after it
	id    []byte // becomes lastID when the event ends
	types string // the latest type, to be used again without an allocation

	lastID   []byte
	retry    time.Duration
	hasRetry bool
}

// TooLargeError reports an event that exceeds [Decoder.MaxEventSize].
type TooLargeError struct {
	Limit int // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("event stream: an event is larger than %d bytes", e.Limit)
}

// NewDecoder returns a Decoder that reads from r. It reads ahead, by some kilobytes.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{lines: lineReader{r: r}}
}

// Reset goes on with another connection, r. What the event source would remember is kept:
// the last event id and the reconnection time. An unfinished event and a past error are
// forgotten.
func (d *Decoder) Reset(r io.Reader) {
	d.lines.reset(r)
	d.begun = false
	d.typ, d.data, d.id = "", d.data[:0], append(d.id[:0], d.lastID...)
}

// Next blocks until an event is complete, and returns it. Its ID and Data are valid until
// the next call; see [Event.Clone]. At the end of the stream it returns io.EOF, after a
// failed read the reader's error, and both drop an unfinished event.
func (d *Decoder) Next() (Event, error) {
	d.data = d.data[:0]
	for {
		line, err := d.lines.next(max(0, d.maxEventSize()-len(d.data)))
		if err != nil {
			return Event{}, d.explain(err)
		}
		if line = d.trimBOM(line); len(line) > 0 {
			d.takeLine(line)
			continue
		}
		if ev, ok := d.endBlock(); ok {
			return ev, nil
		}
	}
}

// LastEventID is what a client sends when it reconnects: the id of the last complete block,
// also of one without data, which Next does not return. Empty when there was none.
func (d *Decoder) LastEventID() string { return string(d.lastID) }

// Retry is the reconnection time that the stream asked for last, and whether it ever did.
func (d *Decoder) Retry() (time.Duration, bool) { return d.retry, d.hasRetry }

func (d *Decoder) maxEventSize() int {
	if d.MaxEventSize > 0 {
		return d.MaxEventSize
	}
	return DefaultMaxEventSize
}

func (d *Decoder) explain(err error) error {
	if err == errLineTooLong {
		return &TooLargeError{Limit: d.maxEventSize()}
	}
	return err
}

func (d *Decoder) trimBOM(line []byte) []byte {
	if d.begun {
		return line
	}
	d.begun = true
	return bytes.TrimPrefix(line, []byte("\ufeff"))
}

func (d *Decoder) takeLine(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		d.data = append(append(d.data, value...), '\n')
	case "event":
		d.takeType(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.id = append(d.id[:0], value...)
		}
	case "retry":
		d.takeRetry(value)
	case "":
		d.comment(value)
	}
}

func (d *Decoder) takeType(value []byte) {
	if string(value) != d.types {
		d.types = string(value)
	}
	d.typ = d.types
}

// maxRetry is the longest reconnection time that a Duration holds, in milliseconds.
const maxRetry = uint64(math.MaxInt64 / time.Millisecond)

func (d *Decoder) takeRetry(value []byte) {
	if len(value) == 0 || len(bytes.Trim(value, "0123456789")) > 0 {
		return
	}
	ms, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		ms = maxRetry // all digits, so it can only be too large
	}
	d.retry, d.hasRetry = time.Duration(min(ms, maxRetry))*time.Millisecond, true
}

func (d *Decoder) comment(text []byte) {
	if d.OnComment != nil {
		d.OnComment(text)
	}
}

// endBlock takes the id of a block, and its event if it has one.
func (d *Decoder) endBlock() (ev Event, ok bool) {
	d.lastID = append(d.lastID[:0], d.id...)
	typ := d.typ
	d.typ = ""
	if len(d.data) == 0 {
		return Event{}, false
	}
	return Event{Type: typ, Data: d.data[:len(d.data)-1], ID: d.id}, true
}
