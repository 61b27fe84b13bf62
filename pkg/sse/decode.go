package sse

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// DefaultMaxEventSize is the value of [Decoder.MaxEventSize] if that is 0, in bytes.
const DefaultMaxEventSize = 16 << 20

// Decoder reads events from a stream. It follows "Interpreting an event stream" (WHATWG HTML,
// section 9.2.6).
//
// Set its fields before the first call of Next. A Decoder is not safe for concurrent use. Unlike a
// browser, it returns bytes that are not UTF-8 unchanged.
type Decoder struct {
	// MaxEventSize limits the data of one event together with the line being read, in
	// bytes. Next returns a *TooLargeError for a larger event. 0 means DefaultMaxEventSize.
	MaxEventSize int

	// OnComment, if set, is called from Next with each comment, without its colon and the
	// space after it. The text is valid during the call only.
	OnComment func(text []byte)

	lines      lineReader
	bomChecked bool // the first line was read
	hasField   bool // a line was a field or a comment

	// The event being read.
	typ        string
	data       []byte // each line with an LF after it
	id         []byte // becomes lastID at the end of the event
	cachedType string // the latest type, reused without an allocation

	lastID   []byte
	retry    time.Duration
	hasRetry bool
}

// TooLargeError is the error for an event larger than [Decoder.MaxEventSize].
type TooLargeError struct {
	Limit int // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("event stream: an event is larger than %d bytes", e.Limit)
}

// NewDecoder returns a Decoder for the stream r. The Decoder reads ahead by some kilobytes.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{lines: lineReader{r: r}}
}

// Reset continues with the stream of a new connection. As an EventSource does, it keeps the last event
// id and the reconnection time. It discards an incomplete event and an earlier error.
func (d *Decoder) Reset(r io.Reader) {
	d.lines.reset(r)
	d.bomChecked, d.hasField = false, false
	d.typ, d.data, d.id = "", d.data[:0], append(d.id[:0], d.lastID...)
}

// Next returns the next event. It blocks until the event is complete.
//
// The ID and Data of the event are valid until the next call; see [Event.Clone]. Next returns io.EOF at
// the end of the stream, or the error of a failed read. In both cases it discards an incomplete event.
func (d *Decoder) Next() (Event, error) {
	d.data = d.data[:0]
	for {
		line, err := d.lines.next(max(0, d.maxEventSize()-len(d.data)))
		if err != nil {
			return Event{}, d.publicError(err)
		}
		if line = d.trimBOM(line); len(line) > 0 {
			d.parseLine(line)
			continue
		}
		if ev, ok := d.endBlock(); ok {
			return ev, nil
		}
	}
}

// Incomplete reports whether the stream ended within an event. Call it after an error of Next: lines of an event were
// read, and the empty line at its end was not.
func (d *Decoder) Incomplete() bool {
	return len(d.data) > 0 || d.typ != "" || d.lines.start < len(d.lines.buf)
}

// Foreign reports whether the stream has bytes, and no line so far is a field or a comment. Then it is probably not an
// event stream, but JSON or a page. Call it after an error of Next: the last line counts also if it is incomplete.
func (d *Decoder) Foreign() bool {
	rest := d.lines.buf[d.lines.start:]
	if !d.bomChecked {
		rest = bytes.TrimPrefix(rest, []byte("\ufeff"))
	}
	if name, _, colon := bytes.Cut(rest, []byte(":")); d.hasField || colon && isField(name) {
		return false
	}
	return d.bomChecked || len(rest) > 0
}

// isField reports whether a line with this name has an effect, or is a comment.
func isField(name []byte) bool {
	switch string(name) {
	case "data", "event", "id", "retry", "":
		return true
	}
	return false
}

// LastEventID returns the id of the last complete block, for the Last-Event-ID header.
// Blocks without data count, although Next does not return them. It is empty before the first id.
func (d *Decoder) LastEventID() string { return string(d.lastID) }

// Retry returns the last reconnection time received. ok is false if there was none.
func (d *Decoder) Retry() (delay time.Duration, ok bool) { return d.retry, d.hasRetry }

func (d *Decoder) maxEventSize() int {
	if d.MaxEventSize > 0 {
		return d.MaxEventSize
	}
	return DefaultMaxEventSize
}

func (d *Decoder) publicError(err error) error {
	if err == errLineTooLong {
		return &TooLargeError{Limit: d.maxEventSize()}
	}
	return err
}

func (d *Decoder) trimBOM(line []byte) []byte {
	if d.bomChecked {
		return line
	}
	d.bomChecked = true
	return bytes.TrimPrefix(line, []byte("\ufeff"))
}

func (d *Decoder) parseLine(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	d.hasField = d.hasField || isField(name)
	switch string(name) {
	case "data":
		d.data = append(append(d.data, value...), '\n')
	case "event":
		d.setType(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.id = append(d.id[:0], value...)
		}
	case "retry":
		d.setRetry(value)
	case "":
		d.comment(value)
	}
}

func (d *Decoder) setType(value []byte) {
	if string(value) != d.cachedType {
		d.cachedType = string(value)
	}
	d.typ = d.cachedType
}

// maxRetry is the largest reconnection time of a Duration, in milliseconds.
const maxRetry = uint64(math.MaxInt64 / time.Millisecond)

func (d *Decoder) setRetry(value []byte) {
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

// endBlock stores the id of the block. It returns an event if the block has data.
func (d *Decoder) endBlock() (ev Event, ok bool) {
	d.lastID = append(d.lastID[:0], d.id...)
	typ := d.typ
	d.typ = ""
	if len(d.data) == 0 {
		return Event{}, false
	}
	return Event{Type: typ, Data: d.data[:len(d.data)-1], ID: d.id}, true
}
