package sse

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

var benchData = []struct {
	name string
	data []byte
}{
	{"small", []byte(`{"text":"hi"}`)},
	{"1KiB", bytes.Repeat([]byte("0123456789abcdef"), 64)},
	{"1KiB-unicode", []byte(strings.Repeat("приливная отметка. ", 29))},
	{"1KiB-multiline", bytes.Repeat([]byte("0123456789abcde\n"), 64)},
	{"64KiB", bytes.Repeat([]byte("0123456789abcdef"), 4096)},
	{"1KiB-binary", bytes.Repeat([]byte{0xff, 0xfe, 0, 1}, 256)},
}

func BenchmarkEncode(b *testing.B) {
	for _, bb := range benchData {
		b.Run(bb.name, func(b *testing.B) {
			ev := Event{Type: "greeting", Data: bb.data, ID: []byte("1042-k7f3q9")}
			dst := AppendEvent(nil, ev)
			b.ReportAllocs()
			b.SetBytes(int64(len(dst)))
			for b.Loop() {
				dst = AppendEvent(dst[:0], ev)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, bb := range benchData {
		b.Run(bb.name, func(b *testing.B) {
			frame := AppendEvent(nil, Event{Type: "greeting", Data: bb.data, ID: []byte("1042-k7f3q9")})
			d := NewDecoder(&loopReader{data: frame})
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, err := d.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeIDs decodes events that each have a different id, as in production.
func BenchmarkDecodeIDs(b *testing.B) {
	var stream []byte
	for i := range 1000 {
		ev := Event{Type: "greeting", Data: []byte(`{"text":"hi"}`), ID: fmt.Appendf(nil, "%d-k7f3q9", i)}
		stream = AppendEvent(stream, ev)
	}
	d := NewDecoder(&loopReader{data: stream})
	b.ReportAllocs()
	b.SetBytes(int64(len(stream) / 1000))
	for b.Loop() {
		if _, err := d.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

// loopReader repeats its data without end.
type loopReader struct {
	data []byte
	at   int
}

var _ io.Reader = (*loopReader)(nil)

func (r *loopReader) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}
