package sse

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRoundTrip checks that any event decodes to the event that was encoded, except for line ends and
// fields that the format cannot represent, and that the next event is unaffected.
func FuzzRoundTrip(f *testing.F) {
	f.Add("greeting", []byte("hi"), []byte("1042-k7f3q9"))
	f.Add("", []byte(" a\r\n\rb\n"), []byte{})
	f.Add("a\nb", []byte{0xff, '\n'}, []byte("1\x00"))
	f.Add(" ", []byte("\ufeff\u2028\x00"), []byte(" "))
	f.Add("t", []byte(binaryPrefix+"aGk="), []byte("\xff"))
	f.Fuzz(func(t *testing.T, typ string, data, id []byte) {
		stream := AppendEvent(nil, Event{Type: typ, Data: data, ID: id})
		stream = AppendComment(stream, string(data))
		stream = AppendEvent(stream, Event{Data: []byte("after")})
		got, err := decodeAll(NewDecoder(bytes.NewReader(stream)))
		first := message{decodedField(typ), decodedData(data), decodedField(string(id))}
		want := []message{first, {"", "after", first.id}}
		if err != io.EOF || !slices.Equal(got, want) {
			t.Errorf("%q\ngot  %q, %v\nwant %q", stream, got, err, want)
		}
	})
}

// decodedField returns the value of a type or id after encoding and decoding.
func decodedField(s string) string {
	if strings.ContainsAny(s, "\r\n\x00") || !utf8.ValidString(s) {
		return ""
	}
	return s
}

// decodedData returns the value of data after encoding and decoding.
func decodedData(data []byte) string {
	if !utf8.Valid(data) {
		return string(AppendEvent(nil, Event{Data: data})[len("data: ") : len("data: ")+len(binaryPrefix)+(len(data)+2)/3*4])
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
}

// FuzzDecoder checks that the result does not depend on the sizes of the reads, and equals that of a
// literal implementation of the standard.
func FuzzDecoder(f *testing.F) {
	for _, tt := range decodeTests {
		f.Add([]byte(tt.stream), []byte{1, 2, 3}, uint8(0))
	}
	f.Add([]byte("data: a\r\n\r\nretry: 10\nid: 1\n:c\n\n"), []byte{8, 1}, uint8(9))
	f.Fuzz(func(t *testing.T, stream, cuts []byte, limit uint8) {
		whole := transcript(bytes.NewReader(stream), int(limit))
		if cut := transcript(&cutReader{data: stream, cuts: cuts}, int(limit)); cut != whole {
			t.Errorf("%q\ncut   %s\nwhole %s", stream, cut, whole)
		}
		got, _ := decodeAll(NewDecoder(bytes.NewReader(stream)))
		if want := plainDecode(string(stream)); !slices.Equal(got, want) {
			t.Errorf("%q\ngot  %q\nwant %q", stream, got, want)
		}
	})
}

// transcript returns all results of a Decoder for a stream.
func transcript(r io.Reader, limit int) string {
	var b strings.Builder
	d := NewDecoder(r)
	d.MaxEventSize = limit
	d.OnComment = func(text []byte) { fmt.Fprintf(&b, "comment %q\n", text) }
	msgs, err := decodeAll(d)
	retry, ok := d.Retry()
	fmt.Fprintf(&b, "%q %v %q %v %v", msgs, err, d.LastEventID(), retry, ok)
	return b.String()
}

// cutReader returns its data in pieces of the sizes in cuts, over and over.
type cutReader struct {
	data, cuts []byte
	i          int
}

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	size := 1
	if len(r.cuts) > 0 {
		size = max(1, int(r.cuts[r.i%len(r.cuts)]))
	}
	r.i++
	n := copy(p, r.data[:min(size, len(r.data))])
	r.data = r.data[n:]
	return n, nil
}

// plainDecode follows the standard's text step by step on a whole stream in memory.
func plainDecode(stream string) (msgs []message) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream), "\n")
	var typ, id string
	var data strings.Builder
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if data.Len() > 0 {
				msgs = append(msgs, message{typ, strings.TrimSuffix(data.String(), "\n"), id})
			}
			typ = ""
			data.Reset()
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "event":
			typ = value
		case name == "data":
			data.WriteString(value + "\n")
		case name == "id" && !strings.Contains(value, "\x00"):
			id = value
		}
	}
	return msgs
}
