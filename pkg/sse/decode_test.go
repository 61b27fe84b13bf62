package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// message is an Event that can be compared and kept.
type message struct{ typ, data, id string }

func decodeAll(d *Decoder) (msgs []message, err error) {
	for {
		ev, err := d.Next()
		if err != nil {
			return msgs, err
		}
		msgs = append(msgs, message{ev.Type, string(ev.Data), string(ev.ID)})
	}
}

// The cases named "standard" are the rules of WHATWG HTML 9.2.5 and 9.2.6, one by one.
var decodeTests = []struct {
	name   string
	stream string
	want   []message
	lastID string
}{
	{name: "empty stream"},
	{name: "standard: lines of data are joined with LF", stream: "data: YHOO\ndata: +2\ndata: 10\n\n",
		want: []message{{"", "YHOO\n+2\n10", ""}}},
	{name: "standard: comment, id, id reset, leading space",
		stream: ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
		want:   []message{{"", "first event", "1"}, {"", "second event", ""}, {"", " third event", ""}}},
	{name: "standard: fields without colon, end without empty line", stream: "data\n\ndata\ndata\n\ndata:",
		want: []message{{"", "", ""}, {"", "\n", ""}}},
	{name: "standard: one space after the colon is not data", stream: "data:test\n\ndata: test\n\n",
		want: []message{{"", "test", ""}, {"", "test", ""}}},
	{name: "a tab is data", stream: "data:\ttest\n\n", want: []message{{"", "\ttest", ""}}},
	{name: "colons belong to the value", stream: "data: a:b: c\n\n", want: []message{{"", "a:b: c", ""}}},
	{name: "CR", stream: "event: t\rdata: a\rid: 1\r\rdata: b\r\r",
		want: []message{{"t", "a", "1"}, {"", "b", "1"}}, lastID: "1"},
	{name: "CRLF", stream: "event: t\r\ndata: a\r\nid: 1\r\n\r\ndata: b\r\n\r\n",
		want: []message{{"t", "a", "1"}, {"", "b", "1"}}, lastID: "1"},
	{name: "mixed line ends", stream: "data: a\rdata: b\r\ndata: c\n\r\ndata: d\n\n",
		want: []message{{"", "a\nb\nc", ""}, {"", "d", ""}}},
	{name: "LF CR are two line ends", stream: "data: a\n\rdata: b\n\n",
		want: []message{{"", "a", ""}, {"", "b", ""}}},
	{name: "byte order mark", stream: "\ufeffdata: a\n\n", want: []message{{"", "a", ""}}},
	{name: "only the first byte order mark goes", stream: "\ufeff\ufeffdata: a\n\ndata: b\n\n",
		want: []message{{"", "b", ""}}},
	{name: "byte order mark and nothing else on the line", stream: "\ufeff\ndata: a\n\n", want: []message{{"", "a", ""}}},
	{name: "byte order mark later", stream: "data: a\n\n\ufeffdata: b\n\n", want: []message{{"", "a", ""}}},
	{name: "unknown fields and wrong case", stream: "Data: a\nDATA: b\n data: c\ndata : d\nfoo: e\nfoo\ndata: f\n\n",
		want: []message{{"", "f", ""}}},
	{name: "the last event line wins", stream: "event: a\nevent: b\ndata: x\n\n", want: []message{{"b", "x", ""}}},
	{name: "an empty event line resets", stream: "event: a\nevent\ndata: x\n\n", want: []message{{"", "x", ""}}},
	{name: "the type is not kept", stream: "event: a\ndata: x\n\ndata: y\n\nevent: a\ndata: z\n\n",
		want: []message{{"a", "x", ""}, {"", "y", ""}, {"a", "z", ""}}},
	{name: "no data, no event, and its type is forgotten", stream: "event: a\n\ndata: x\n\n",
		want: []message{{"", "x", ""}}},
	{name: "no data, but its id counts", stream: "id: 7\n\n", lastID: "7"},
	{name: "ids are kept", stream: "id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\n",
		want: []message{{"", "a", "1"}, {"", "b", "1"}, {"", "c", "2"}}, lastID: "2"},
	{name: "an id with NUL is ignored", stream: "id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n",
		want: []message{{"", "a", "1"}, {"", "b", "1"}}, lastID: "1"},
	{name: "an id before data", stream: "id: 1\ndata: a\nid: 2\n\n", want: []message{{"", "a", "2"}}, lastID: "2"},
	{name: "cut before the empty line", stream: "id: 1\ndata: a\n\nid: 2\ndata: b\n",
		want: []message{{"", "a", "1"}}, lastID: "1"},
	{name: "cut within a line", stream: "id: 1\ndata: a\n\nid: 2\ndata: b", want: []message{{"", "a", "1"}}, lastID: "1"},
	{name: "cut within the id of a block without data", stream: "id: 1\n\nid: 12", lastID: "1"},
	{name: "many empty lines", stream: "\n\n\r\r\r\n\r\ndata: a\n\n\n\n", want: []message{{"", "a", ""}}},
	{name: "NUL in data", stream: "data: a\x00b\n\n", want: []message{{"", "a\x00b", ""}}},
	{name: "not UTF-8", stream: "data: a\xff\n\n", want: []message{{"", "a\xff", ""}}},
}

func TestDecoder(t *testing.T) {
	for _, tt := range decodeTests {
		for chunking, r := range map[string]io.Reader{
			"whole":         strings.NewReader(tt.stream),
			"byte by byte":  iotest.OneByteReader(strings.NewReader(tt.stream)),
			"data with EOF": iotest.DataErrReader(strings.NewReader(tt.stream)),
		} {
			t.Run(tt.name+"/"+chunking, func(t *testing.T) {
				d := NewDecoder(r)
				got, err := decodeAll(d)
				if err != io.EOF {
					t.Errorf("error %v, want io.EOF", err)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
				if d.LastEventID() != tt.lastID {
					t.Errorf("last id %q, want %q", d.LastEventID(), tt.lastID)
				}
			})
		}
	}
}

func TestDecoderRetry(t *testing.T) {
	const none = -1
	for line, want := range map[string]time.Duration{
		"retry: 3000":                    3 * time.Second,
		"retry:0":                        0,
		"retry: 007":                     7 * time.Millisecond,
		"retry":                          none,
		"retry: ":                        none,
		"retry: -1":                      none,
		"retry: +1":                      none,
		"retry: 1.5":                     none,
		"retry: 10s":                     none,
		"retry:  10":                     none,
		"retry: ١":                       none,
		"retry: 99999999999999999999999": math.MaxInt64 / time.Millisecond * time.Millisecond,
	} {
		d := NewDecoder(strings.NewReader(line + "\n")) // counts without an empty line
		if _, err := d.Next(); err != io.EOF {
			t.Errorf("%q: error %v", line, err)
		}
		got, ok := d.Retry()
		if !ok {
			got = none
		}
		if got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

func TestDecoderComments(t *testing.T) {
	var got []string
	d := NewDecoder(strings.NewReader(": a\n:b\n:\ndata: x\n:  c\n\n"))
	d.OnComment = func(text []byte) { got = append(got, string(text)) }
	if msgs, _ := decodeAll(d); len(msgs) != 1 {
		t.Errorf("events %q, want one", msgs)
	}
	if want := []string{"a", "b", "", " c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An event ends with the byte that ends its empty line, also if that is a CR. The reader stays open and
// returns no further bytes.
func TestDecoderDoesNotWaitForMore(t *testing.T) {
	for _, stream := range []string{"data: a\n\n", "data: a\r\r", "data: a\r\n\r"} {
		pr, pw := io.Pipe()
		go func() {
			for i := range stream {
				_, _ = pw.Write([]byte(stream[i : i+1]))
			}
		}()
		ev, err := NewDecoder(pr).Next()
		if err != nil || string(ev.Data) != "a" {
			t.Errorf("%q: %q, %v", stream, ev.Data, err)
		}
		_ = pr.Close()
	}
}

func TestDecoderLongLines(t *testing.T) {
	for _, size := range []int{firstBuffer - 7, firstBuffer, 64 << 10, 1<<20 + 1} {
		data := strings.Repeat("x", size)
		stream := "data: " + data + "\nid: 1\n\ndata: next\n\n"
		got, _ := decodeAll(NewDecoder(iotest.HalfReader(strings.NewReader(stream))))
		if want := []message{{"", data, "1"}, {"", "next", "1"}}; !slices.Equal(got, want) {
			t.Errorf("%d bytes did not survive", size)
		}
	}
}

func TestDecoderMaxEventSize(t *testing.T) {
	tests := []struct {
		name, stream string
		events       int
		tooLarge     bool
	}{
		{"fits", "data: 34567890\n\ndata: 34567890\r\n\r\n", 2, false},
		{"line too long", "data: a\n\ndata: 345678901\n\n", 1, true},
		{"line without end too long", "data: 345678901", 0, true},
		{"comment too long", ": 345678901234567\n", 0, true},
		{"lines add up", "data:1234\ndata:1234\ndata:1234\n\n", 0, true},
		{"comments do not add up", ": 34567890\n: 34567890\n\ndata: a\n\n", 1, false},
		{"empty lines pass", "data:\ndata: 1234567\n\n", 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := NewDecoder(strings.NewReader(tt.stream))
			d.MaxEventSize = 14
			got, err := decodeAll(d)
			tooLarge, ok := errors.AsType[*TooLargeError](err)
			if ok != tt.tooLarge || ok && tooLarge.Limit != 14 || len(got) != tt.events {
				t.Errorf("got %q, %v", got, err)
			}
			if _, again := d.Next(); fmt.Sprint(again) != fmt.Sprint(err) {
				t.Errorf("the next call says %v, want %v again", again, err)
			}
		})
	}
}

func TestDecoderErrors(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("id: 1\ndata: a\n\nid: 2\ndata: b\n"), iotest.ErrReader(broken))
	d := NewDecoder(r)
	got, err := decodeAll(d)
	if err != broken || len(got) != 1 || d.LastEventID() != "1" {
		t.Errorf("got %q, %v, last id %q", got, err, d.LastEventID())
	}
	if _, err := NewDecoder(stuckReader{}).Next(); err != io.ErrNoProgress {
		t.Errorf("error %v, want io.ErrNoProgress", err)
	}
}

type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }

func TestDecoderReset(t *testing.T) {
	d := NewDecoder(strings.NewReader("retry: 5\nid: 1\ndata: a\n\nid: 2\nevent: cut\ndata: b\r"))
	if _, err := decodeAll(d); err != io.EOF {
		t.Fatal(err)
	}
	d.Reset(strings.NewReader("\ufeff\ndata: c\n\nid: 3\ndata: d\n\n"))
	got, err := decodeAll(d)
	if want := []message{{"", "c", "1"}, {"", "d", "3"}}; err != io.EOF || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if retry, ok := d.Retry(); !ok || retry != 5*time.Millisecond {
		t.Errorf("retry %v, %v", retry, ok)
	}
}

func TestEventClone(t *testing.T) {
	d := NewDecoder(strings.NewReader("event: t\ndata: first\nid: 1\n\nevent: u\ndata: other\nid: 2\n\n"))
	ev, _ := d.Next()
	kept := ev.Clone()
	if _, err := d.Next(); err != nil {
		t.Fatal(err)
	}
	if kept.Type != "t" || !bytes.Equal(kept.Data, []byte("first")) || string(kept.ID) != "1" {
		t.Errorf("kept %+v", kept)
	}
}

func TestDecoder_StreamEnds_IncompleteReportsUnfinishedEvent(t *testing.T) {
	for stream, want := range map[string]bool{
		"": false, "data: 1\n\n": false, "data: 1\r\n\r\n": false, ": x\n": false, "id: 1\n\n": false, "event: x\n\n": false,
		"data: 1\n": true, "data: 1\n\ndata: 2": true, "event: x\n": true, "dat": true, "data: 1\r\ndata: 2\r\n": true,
	} {
		d := NewDecoder(strings.NewReader(stream))
		if _, err := decodeAll(d); !errors.Is(err, io.EOF) || d.Incomplete() != want {
			t.Errorf("%q: incomplete %t, want %t; %v", stream, d.Incomplete(), want, err)
		}
	}
}

func TestDecoder_Foreign_ReportsStreamsWithoutFields(t *testing.T) {
	for stream, want := range map[string]bool{
		"": false, "\ufeff": false, "data: 1\n\n": false, "data\n\n": false, "data: 1": false, ": hi\n": false, "x\nid: 1\n": false,
		"x": true, "\n": true, "{}\n\n": true, "Data: 1\n\n": true, " data: 1\n\n": true, "x: data: 1": true,
	} {
		d := NewDecoder(strings.NewReader(stream))
		for {
			if _, err := d.Next(); err != nil {
				break
			}
		}
		if got := d.Foreign(); got != want {
			t.Errorf("%q: %t, want %t", stream, got, want)
		}
		if d.Reset(strings.NewReader("")); d.Foreign() {
			t.Errorf("%q: still foreign after Reset", stream)
		}
	}
}
