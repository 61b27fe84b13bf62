package feed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tidemark/tidemark/pkg/sse"
)

var envelopeTime = time.Date(2026, 11, 27, 10, 0, 0, 123_456_789, time.UTC)

// sharedFrame is a frame as the window has it.
func sharedFrame(ev Event) *Frame {
	return newFrame(&incarnationFrames{epoch: "k7f3q9", limit: 1 << 20}, ev)
}

func TestEnvelope_Event_IsCloudEventsJSON(t *testing.T) {
	for name, c := range map[string]struct {
		ev   Event
		want string
	}{
		"JSON": {
			Event{Type: "order", Data: []byte(`{"a":1}`)},
			`"type":"order","subject":"n.user.42","time":"2026-11-27T10:00:00.123Z","datacontenttype":"application/json","data":{"a":1}}`,
		},
		"text":       {Event{Data: []byte("he said \"hi\"\n")}, `"type":"message","subject":"n.user.42","time":"2026-11-27T10:00:00.123Z","datacontenttype":"text/plain","data":"he said \"hi\"\n"}`},
		"empty":      {Event{}, `"type":"message","subject":"n.user.42","time":"2026-11-27T10:00:00.123Z","datacontenttype":"text/plain","data":""}`},
		"binary":     {Event{Data: []byte{0xff, 0}}, `"type":"message","subject":"n.user.42","time":"2026-11-27T10:00:00.123Z","datacontenttype":"application/octet-stream","data_base64":"/wA="}`},
		"JSON lines": {Event{Data: []byte("{\r\n\"a\":\"\u2028\u0085\"\n}")}, `"type":"message","subject":"n.user.42","time":"2026-11-27T10:00:00.123Z","datacontenttype":"application/json","data":{  "a":"\u2028\u0085" }}`},
		"published as a CloudEvent": {
			Event{Type: "t", Data: []byte("1"), CloudEvent: &CloudEvent{
				ID: "7", Source: "/s", Time: "2026-01-01T00:00:00Z", Subject: "x", Schema: "https://s.example/1",
				Extensions: []Attribute{{"partitionkey", "é\u0000"}},
			}},
			`"type":"t","subject":"n.user.42","time":"2026-11-27T10:00:00.123Z","originid":"7","originsource":"/s","origintime":"2026-01-01T00:00:00Z","originsubject":"x","dataschema":"https://s.example/1","partitionkey":"é\u0000","datacontenttype":"application/json","data":1}`,
		},
		"a schema that is no absolute URI": {
			Event{Data: []byte("1"), CloudEvent: &CloudEvent{Schema: "x y"}},
			`"type":"message","subject":"n.user.42","time":"2026-11-27T10:00:00.123Z","datacontenttype":"application/json","data":1}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.ev.Seq, c.ev.Subject, c.ev.Time = 1042, "n.user.42", envelopeTime
			want := `{"specversion":"1.0","id":"1042-k7f3q9","source":"NOTIFICATIONS",` + c.want
			f := sharedFrame(c.ev)
			if got := string(f.AppendJSON(nil, "NOTIFICATIONS")); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if !json.Valid(f.AppendJSON(nil, "NOTIFICATIONS")) {
				t.Error("not valid JSON")
			}
		})
	}
}

// The forms of a frame have the same content in whatever order they are encoded, for frames of the window and for
// those of a replay.
func TestEnvelope_AnyOrderOfEncodings_SameBytes(t *testing.T) {
	for _, data := range []string{"", "a", "a\nb", "a\n", "\n", " a", "a\r\nb\r", "\xff", `{"a":"b"}`, "data:application/octet-stream;base64,/w==", "id: 3\n\ndata: x"} {
		for _, typ := range []string{"", "order"} {
			ev := Event{Seq: 7, Subject: "n.a", Type: typ, Data: []byte(data), Time: envelopeTime}
			want := sharedFrame(ev).AppendEnvelope(nil, "S")
			after := sharedFrame(ev)
			wire := bytes.Clone(after.Wire())
			replayed := newFrame(&incarnationFrames{epoch: "k7f3q9"}, ev)
			for name, got := range map[string][]byte{
				"again": after.AppendEnvelope(nil, "S"), "after SSE": after.AppendEnvelope([]byte{}, "S"), "of a replay": replayed.AppendEnvelope(nil, "S"),
			} {
				if !bytes.Equal(got, want) {
					t.Errorf("%q %s: %q\nwant %q", data, name, got, want)
				}
			}
			if got := replayed.Wire(); !bytes.Equal(got, wire) {
				t.Errorf("%q: SSE %q, want %q", data, got, wire)
			}
			line, object := string(after.AppendLine(nil, "S")), string(after.AppendJSON(nil, "S"))
			if line != object+"\n" || strings.Count(line, "\n") != 1 || string(replayed.AppendLine(nil, "S")) != line {
				t.Errorf("line %q, object %q", line, object)
			}
			got := decodeSSE(t, want)
			if string(got.Data) != object || string(got.ID) != "7-k7f3q9" || got.Type != typ {
				t.Errorf("as an SSE event: %q", got)
			}
		}
	}
}

func decodeSSE(t *testing.T, wire []byte) sse.Event {
	t.Helper()
	ev, err := sse.NewDecoder(bytes.NewReader(wire)).Next()
	if err != nil {
		t.Fatalf("%q: %v", wire, err)
	}
	return ev
}

func FuzzEnvelope(f *testing.F) {
	f.Add("t", []byte(`{"a":[1,2]}`), "n.a", "x")
	f.Add("", []byte("a\r\nb\u2028"), "n.b", "\u0085")
	f.Add("t", []byte("\xff\x00"), "n", "\xff")
	f.Fuzz(func(t *testing.T, typ string, data []byte, subject, attribute string) {
		if CheckType(typ) != nil || !utf8.ValidString(subject) || strings.ContainsAny(subject, "\r\n") {
			return
		}
		ev := Event{Seq: 1, Subject: subject, Type: typ, Data: data, Time: envelopeTime, CloudEvent: &CloudEvent{ID: attribute}}
		kept := sharedFrame(ev)
		kept.Wire()
		text := kept.AppendJSON(nil, "S")
		if replayed := newFrame(&incarnationFrames{epoch: "k7f3q9"}, ev).AppendJSON(nil, "S"); !bytes.Equal(replayed, text) {
			t.Fatalf("%q\nof a replay %q", text, replayed)
		}
		if bytes.ContainsAny(text, "\r\n\u2028\u2029\u0085") {
			t.Fatalf("line ends: %q", text)
		}
		var got struct {
			Type, Subject, OriginID string
			Data                    json.RawMessage
			Base64                  []byte `json:"data_base64"`
			ContentType             string `json:"datacontenttype"`
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.Subject != subject || got.OriginID != strings.ToValidUTF8(attribute, "\ufffd") && utf8.ValidString(attribute) || typ != "" && got.Type != typ {
			t.Fatalf("%+v of %q", got, text)
		}
		checkEnvelopeData(t, data, got.Data, got.Base64, got.ContentType)
	})
}

func checkEnvelopeData(t *testing.T, data []byte, object json.RawMessage, b64 []byte, contentType string) {
	t.Helper()
	switch {
	case !utf8.Valid(data):
		if !bytes.Equal(b64, data) || contentType != "application/octet-stream" {
			t.Fatalf("%s, want %s", base64.StdEncoding.EncodeToString(b64), base64.StdEncoding.EncodeToString(data))
		}
	case json.Valid(data):
		var got, want any
		if json.Unmarshal(data, &want) == nil && (json.Unmarshal(object, &got) != nil || fmt.Sprint(got) != fmt.Sprint(want)) {
			t.Fatalf("%q, want %q", object, data)
		}
	default:
		var got string
		if err := json.Unmarshal(object, &got); err != nil || got != string(data) {
			t.Fatalf("%q, want %q: %v", got, data, err)
		}
	}
}

// Envelopes have at most their part of the window's bytes, whatever is encoded, and the window counts them. The
// newest events keep theirs.
func TestEnvelope_ManyEncoded_BoundedAndCounted(t *testing.T) {
	w := newWindow(1<<20, 64<<10)
	encode := func(seq uint64) *Frame {
		f := newFrame(w.share("k7f3q9"), Event{Seq: seq, Subject: fmt.Sprint("n.", seq%7), Data: bytes.Repeat([]byte("x"), 100)})
		w.add(f)
		if w.size() > w.maxBytes {
			t.Fatalf("seq %d: the window has %d bytes of %d", seq, w.size(), w.maxBytes)
		}
		for i := range w.frames.len() { // a client that reads all
			w.frames.at(i).AppendLine(nil, "S")
		}
		return f
	}
	for seq := range uint64(2000) {
		if seq%100 == 99 {
			w.remove([]uint64{w.frames.at(w.frames.len() / 2).Seq})
		}
		newest := encode(seq + 1)
		var kept int64
		for i := range w.frames.len() {
			if e := w.frames.at(i).envelope.Load(); e != nil {
				kept += e.size()
			}
		}
		if kept != w.shared.bytes.Load() || kept > w.shared.limit || w.size() != w.bytes+int(kept) {
			t.Fatalf("seq %d: %d bytes are kept, %d counted of %d; the window has %d of %d", seq, kept, w.shared.bytes.Load(), w.shared.limit, w.size(), w.maxBytes)
		}
		if seq > 500 && w.frames.len() < 60 {
			t.Fatalf("the window has %d frames: envelopes take their room", w.frames.len())
		}
		if newest.envelope.Load() == nil && seq%50 == 0 {
			// A client that has read far back leaves no room until the next event: encoded for each client.
			if got := newest.AppendLine(nil, "S"); len(got) == 0 {
				t.Fatal("an event has no line")
			}
		}
	}
	w.dropTo(3000)
	if w.shared.bytes.Load() != 0 || w.size() != 0 {
		t.Errorf("%d bytes are left", w.shared.bytes.Load())
	}
}

// Live events keep their envelope although clients read old ones.
func TestEnvelope_LiveEvents_Kept(t *testing.T) {
	w := newWindow(1<<20, 64<<10)
	for seq := range uint64(1000) {
		f := newFrame(w.share("k7f3q9"), Event{Seq: seq + 1, Subject: "n.a", Data: []byte("x")})
		w.add(f)
		f.AppendLine(nil, "S")
		if f.envelope.Load() == nil {
			t.Fatalf("event %d does not keep its envelope", seq)
		}
	}
}

// Connections encode while the window drops frames.
func TestEnvelope_DroppedWhileEncoded_CountsZeroAtTheEnd(t *testing.T) {
	for range 200 {
		w := newWindow(100, 1<<20)
		frames := make([]*Frame, 20)
		for i := range frames {
			frames[i] = newFrame(w.share("k7f3q9"), Event{Seq: uint64(i + 1), Subject: "n.a", Data: []byte("x")})
			w.add(frames[i])
		}
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for _, f := range frames {
					f.AppendLine(nil, "S")
				}
			})
		}
		w.remove([]uint64{5, 15})
		w.dropTo(20)
		readers.Wait()
		if n := w.shared.bytes.Load(); n != 0 {
			t.Fatalf("%d bytes are counted for no frame", n)
		}
	}
}

// BenchmarkEncode is the cost of each encoding of an event, made for the first connection and for a later one.
func BenchmarkEncode(b *testing.B) {
	text := Event{Seq: 1042, Subject: "notifications.user.42", Type: "greeting", Data: bytes.Repeat([]byte("x"), 200), Time: envelopeTime}
	object := text
	object.Data = []byte(`{"order":42,"text":"` + strings.Repeat("x", 178) + `"}`)
	of := &incarnationFrames{epoch: "k7f3q9", limit: 1 << 40}
	buf := make([]byte, 0, 4<<10)
	for name, ev := range map[string]Event{"text": text, "json": object} {
		for form, encode := range map[string]func(f *Frame){
			"sse":      func(f *Frame) { buf = append(buf[:0], f.Wire()...) },
			"envelope": func(f *Frame) { buf = f.AppendEnvelope(buf[:0], "NOTIFICATIONS") },
			"ndjson":   func(f *Frame) { buf = f.AppendLine(buf[:0], "NOTIFICATIONS") },
			"json":     func(f *Frame) { buf = f.AppendJSON(buf[:0], "NOTIFICATIONS") },
		} {
			b.Run(form+"/"+name+"/first", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					encode(newFrame(of, ev))
				}
			})
			b.Run(form+"/"+name+"/replay", func(b *testing.B) {
				one := &incarnationFrames{epoch: "k7f3q9"}
				b.ReportAllocs()
				for b.Loop() {
					encode(newFrame(one, ev))
				}
			})
			b.Run(form+"/"+name+"/shared", func(b *testing.B) {
				f := newFrame(of, ev)
				b.ReportAllocs()
				for b.Loop() {
					encode(f)
				}
			})
		}
	}
}
