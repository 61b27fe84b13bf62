package loadtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// chunkedResponse has chunks that end anywhere: in a line, in a block, between CR and LF.
var chunkedResponse = chunked("id: 1", "\ndata: one\n", "\n", ": hi\n\nid: 2\r\ndata: two\r\n\r", "\nda", "ta: three\n", "\n")

func chunked(chunks ...string) string {
	out := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range chunks {
		out += fmt.Sprintf("%x;ext=1\r\n%s\r\n", len(c), c)
	}
	return out
}

// readIn feeds a response in pieces of the given size, and returns its blocks.
func readIn(response string, size int) (out []string, err error) {
	var w responseParser
	var s blockParser
	for len(response) > 0 && err == nil {
		n := min(size, len(response))
		err = w.parse([]byte(response[:n]), func(body []byte) {
			FormSSE.parse(&s, body, func(f fields) { out = append(out, fmt.Sprintf("%s|%s|%s", f.event, f.id, f.data)) })
		})
		response = response[n:]
	}
	return out, err
}

func TestResponseParser_AnyPieces_SameBlocks(t *testing.T) {
	want := "|1|one || |2|two ||three"
	for size := 1; size <= len(chunkedResponse); size++ {
		got, err := readIn(chunkedResponse, size)
		if err != nil || strings.Join(strings.Fields(strings.Join(got, " ")), " ") != strings.Join(strings.Fields(want), " ") {
			t.Fatalf("in pieces of %d: %q, %v", size, got, err)
		}
	}
}

func TestResponseParser_InvalidResponses_Fail(t *testing.T) {
	for response, want := range map[string]string{
		"HTTP/1.1 503 Service Unavailable\r\n\r\n":                       "503",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":    "chunk size",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n": errResponseEnded.Error(),
		"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ndata: ":             errResponseEnded.Error(),
		"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n":                   errResponseEnded.Error(),
		"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n12345678":           errAfterResponse.Error(),
		"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n":                  "content-length",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("x", maxHeadLine+1):       "header line",
	} {
		if _, err := readIn(response, 7); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", response, err, want)
		}
	}
	if got, err := readIn("HTTP/1.0 200 OK\r\n\r\ndata: plain\n\n", 5); err != nil || len(got) != 1 {
		t.Errorf("without chunks: %q, %v", got, err)
	}
}

// FuzzResponseParser splits responses anywhere; the blocks are the same.
func FuzzResponseParser(f *testing.F) {
	f.Add(chunkedResponse, 3)
	f.Add("HTTP/1.1 200 OK\r\n\r\ndata: x\r\n\r\n\n\n", 1)
	f.Fuzz(func(t *testing.T, response string, size int) {
		whole, wholeErr := readIn(response, len(response)+1)
		cut, cutErr := readIn(response, 1+max(0, size)%64)
		if len(whole) != len(cut) || (wholeErr == nil) != (cutErr == nil) && !errors.Is(wholeErr, errResponseEnded) {
			t.Errorf("%q: whole %q (%v), cut %q (%v)", response, whole, wholeErr, cut, cutErr)
		}
	})
}

func BenchmarkConsume(b *testing.B) {
	s := &localClients{part: Partition{Run: "cafe0123"}}
	sh := newShard()
	c := &client{set: s, shard: sh, key: "all", tally: tally{next: 1}}
	c.response.state = stateBody
	sh.setNow()
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		var frames []byte
		for range 100 {
			n++
			m := marker{run: s.part.Run, key: "all", n: n}
			frames = fmt.Appendf(frames, "event: x\ndata: %s\nid: %d-abcdef\n\n", m.payload(100), n)
		}
		b.StartTimer()
		_, _ = c.read(frames)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
}
