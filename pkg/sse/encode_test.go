package sse

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func TestAppendEvent(t *testing.T) {
	tests := []struct {
		name string
		ev   Event
		want string
	}{
		{"nothing", Event{}, "data:\n\n"},
		{"data alone", Event{Data: []byte("hi")}, "data: hi\n\n"},
		{"all fields, id after data", Event{Type: "greeting", Data: []byte("hi"), ID: []byte("7-k7f3q9")},
			"event: greeting\ndata: hi\nid: 7-k7f3q9\n\n"},
		{"leading space is kept", Event{Type: " t", Data: []byte(" hi"), ID: []byte(" 7")},
			"event:  t\ndata:  hi\nid:  7\n\n"},
		{"LF", Event{Data: []byte("a\nb")}, "data: a\ndata: b\n\n"},
		{"CR", Event{Data: []byte("a\rb")}, "data: a\ndata: b\n\n"},
		{"CRLF", Event{Data: []byte("a\r\nb")}, "data: a\ndata: b\n\n"},
		{"LFCR are two", Event{Data: []byte("a\n\rb")}, "data: a\ndata:\ndata: b\n\n"},
		{"line end at the end", Event{Data: []byte("a\n")}, "data: a\ndata:\n\n"},
		{"CR at the end", Event{Data: []byte("a\r")}, "data: a\ndata:\n\n"},
		{"only a line end", Event{Data: []byte("\r\n")}, "data:\ndata:\n\n"},
		{"data cannot end the event", Event{Data: []byte("a\n\nevent: evil")}, "data: a\ndata:\ndata: event: evil\n\n"},
		{"other separators stay", Event{Data: []byte("a\u2028b\vc\x00d")}, "data: a\u2028b\vc\x00d\n\n"},
		{"not UTF-8", Event{Type: "b", Data: []byte{0xff, '\n', 0}, ID: []byte("7")},
			"event: b\ndata: data:application/octet-stream;base64,/woA\nid: 7\n\n"},
		{"type with LF", Event{Type: "a\ndata: x", Data: []byte("hi")}, "data: hi\n\n"},
		{"type with CR", Event{Type: "a\rb", Data: []byte("hi")}, "data: hi\n\n"},
		{"type with NUL", Event{Type: "a\x00", Data: []byte("hi")}, "data: hi\n\n"},
		{"type not UTF-8", Event{Type: "a\xff", Data: []byte("hi")}, "data: hi\n\n"},
		{"id with LF", Event{ID: []byte("1\n\n"), Data: []byte("hi")}, "data: hi\n\n"},
		{"id with CR", Event{ID: []byte("\r1"), Data: []byte("hi")}, "data: hi\n\n"},
		{"id with NUL", Event{ID: []byte("1\x00"), Data: []byte("hi")}, "data: hi\n\n"},
		{"id not UTF-8", Event{ID: []byte("\xc3"), Data: []byte("hi")}, "data: hi\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := AppendEvent([]byte("before|"), tt.ev)
			if want := "before|" + tt.want; string(got) != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestAppendComment(t *testing.T) {
	for text, want := range map[string]string{
		"":             ":\n\n",
		"hi":           ": hi\n\n",
		"a\nb\r\nc\rd": ": a\n: b\n: c\n: d\n\n",
		"a\n\ndata: x": ": a\n:\n: data: x\n\n",
	} {
		if got := AppendComment(nil, text); string(got) != want {
			t.Errorf("AppendComment(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAppendRetry(t *testing.T) {
	for d, want := range map[time.Duration]string{
		3 * time.Second:         "retry: 3000\n",
		1500 * time.Microsecond: "retry: 1\n",
		time.Nanosecond:         "retry: 1\n",
		0:                       "",
		-time.Second:            "",
		math.MaxInt64:           "retry: 9223372036854\n",
	} {
		if got := AppendRetry(nil, d); string(got) != want {
			t.Errorf("AppendRetry(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestBinary(t *testing.T) {
	raw := []byte{0, 1, 0xfe, '\n', 0xff}
	ev, err := NewDecoder(bytes.NewReader(AppendEvent(nil, Event{Data: raw}))).Next()
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := Binary(ev.Data); !ok || !bytes.Equal(got, raw) {
		t.Errorf("Binary(%q) = %q, %v; want %q", ev.Data, got, ok, raw)
	}
	for _, text := range []string{"", "hi", "data:", "data:text/plain,hi", binaryPrefix + "*"} {
		if got, ok := Binary([]byte(text)); ok {
			t.Errorf("Binary(%q) = %q, want none", text, got)
		}
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 1<<20)
	text := strings.Repeat("quiet, with more than thirty-two bytes\n", 4)
	evs := []Event{
		{Type: "greeting", Data: []byte(text), ID: []byte("18446744073709551615-k7f3q9")},
		{Data: bytes.Repeat([]byte{0xff}, 4096)},
	}
	allocs := testing.AllocsPerRun(100, func() {
		b := AppendRetry(dst, time.Second)
		b = AppendComment(b, text)
		for _, ev := range evs {
			b = AppendEvent(b, ev)
		}
		var buf [32]byte
		id := append(buf[:0], "1042-k7f3q9"...)
		AppendEvent(b, Event{ID: id})
	})
	if allocs != 0 {
		t.Errorf("%v allocations with room in dst, want none", allocs)
	}
}
