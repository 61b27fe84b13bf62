package engine_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// framesOfAllSizes returns frames with random contents, so that a wrong order is detected.
func framesOfAllSizes() (all [][]byte) {
	r := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{
		0, 1, 2, 9, 10, 15, 16, 17, 100, 255, 256, 4095, 4096, 16<<10 - 1, 16 << 10, 64<<10 - 1, 64 << 10,
		64<<10 + 1, 1, 128 << 10, 300 << 10, 0, 1<<20 - 1, 1 << 20, 3,
	} {
		frame := make([]byte, size)
		_, _ = r.Read(frame)
		all = append(all, frame)
	}
	return all
}

// Frames of all sizes arrive whole and in order, after the headers of the handler.
func TestServeFrames(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		all := framesOfAllSizes()
		want := bytes.Join(all, nil)
		src := frames(t, all, errOver)
		resp := serveOne(t, setup{proto: proto}, src).get(t)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Kept") != "yes" {
			t.Errorf("%s with %v", resp.Status, resp.Header)
		}
		if _, err := http.ParseTime(resp.Header.Get("Date")); err != nil {
			t.Error(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err == nil || resp.ProtoMajor == 1 && err != io.ErrUnexpectedEOF {
			t.Errorf("the stream ended with %v", err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived, %d were appended", len(got), len(want))
		}
		if end := src.end(t); end.err != errOver || !usesEngine(proto) && end.written != int64(len(got)) {
			t.Errorf("ended with %v after %d bytes of %d", end.err, end.written, len(got))
		}
	})
}

// The bytes that a peer without an HTTP library receives.
func TestServeRawBytes(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		all := framesOfAllSizes()
		src := frames(t, all, errOver)
		raw, err := io.ReadAll(serveOne(t, setup{proto: proto}, src).raw(t, request))
		if err != nil {
			t.Error(err)
		}
		head, body, rest := dechunk(t, raw)
		if want := bytes.Join(all, nil); !bytes.Equal(body, want) || len(rest) != 0 {
			t.Errorf("%d bytes arrived in chunks, %d were appended; %q follows", len(body), len(want), rest)
		}
		for _, name := range []string{"Date", "X-Kept", "Transfer-Encoding"} {
			if len(head[name]) != 1 {
				t.Errorf("header %s: %q", name, head[name])
			}
		}
		if end := src.end(t); proto == "http1" && end.written != int64(len(raw)) {
			t.Errorf("%d bytes were counted, %d arrived", end.written, len(raw))
		}
	})
}

// As in net/http, a Date header of the handler replaces the default. Headers that contradict the chunks
// are omitted.
func TestServeOwnDate(t *testing.T) {
	e := newEngine(t)
	src := frames(t, [][]byte{[]byte("x")}, errOver)
	s := &serving{engine: e}
	const date = "Mon, 01 Jan 2001 00:00:00 GMT"
	s.serve(t, setup{proto: "http1"}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", date)
		w.Header().Set("Content-Length", "7")
		w.Header().Set("Transfer-Encoding", "identity")
		w.Header()["X-Split"] = []string{"a\r\nX-Injected: b"}
		e.Serve(w, r, src, engine.Options{})
	})
	raw, err := io.ReadAll(s.raw(t, request))
	if err != nil {
		t.Error(err)
	}
	head, body, _ := dechunk(t, raw)
	if string(body) != "x" || len(head["Date"]) != 1 || head.Get("Date") != date || head["Content-Length"] != nil ||
		len(head["Transfer-Encoding"]) != 1 || head["X-Injected"] != nil {
		t.Errorf("%v with body %q", head, body)
	}
}

// A response without chunks is written by net/http.
func TestServeHTTP10(t *testing.T) {
	src := frames(t, [][]byte{[]byte("all of it")}, errOver)
	raw, err := io.ReadAll(serveOne(t, setup{proto: "http1"}, src).raw(t, "GET / HTTP/1.0\r\n\r\n"))
	if err != nil {
		t.Error(err)
	}
	if _, body, _ := bytes.Cut(raw, []byte("\r\n\r\n")); string(body) != "all of it" {
		t.Errorf("got %q", raw)
	}
	if end := src.end(t); end.err != errOver {
		t.Error(end.err)
	}
}

// The number of bytes that the kernels on both sides buffer at most for a connection with small buffers.
const kernels = 512 << 10

// A peer with small buffers reads a few bytes at a time. Every byte arrives once, and Append is called
// again only after the peer has accepted all earlier bytes.
func TestPartialWrites(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		const frame, total = 700 << 10, 4
		var taken atomic.Int64
		var want []byte
		appended := 0
		var last time.Time
		contents := rand.NewChaCha8([32]byte{2})
		src := newScript(t, func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
			if appended > 0 && turn.Written.Before(last) {
				t.Errorf("asked at %v, when the last was asked for at %v and written at %v", turn.Now, last, turn.Written)
			}
			if unsent := int64(len(want)) - taken.Load(); unsent > kernels {
				t.Errorf("asked for more with %d bytes on the way", unsent)
			}
			if appended == total {
				return dst, time.Time{}, errOver
			}
			appended++
			last = turn.Now
			b := make([]byte, frame)
			_, _ = contents.Read(b)
			want = append(want, b...)
			return append(dst, b...), time.Time{}, nil
		})
		s := serveOne(t, setup{proto: proto, buffer: 16 << 10}, src)
		raw := readOddly(t, s.rawBy(t, smallPeer(), request), &taken)
		_, body, rest := dechunk(t, raw)
		if end := src.end(t); end.err != errOver || !bytes.Equal(body, want) || len(rest) != 0 {
			t.Errorf("%v, %d of %d bytes, and %q", end.err, len(body), len(want), rest)
		} else if proto == "http1" && end.written != int64(len(raw)) {
			t.Errorf("%d bytes counted, %d arrived", end.written, len(raw))
		}
	})
}

// readOddly reads a few bytes at a time until the end.
func readOddly(t *testing.T, from io.Reader, taken *atomic.Int64) (all []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 9001)
	for {
		n, err := from.Read(buf[:1+2*r.IntN(len(buf)/2)])
		all = append(all, buf[:n]...)
		taken.Add(int64(n))
		if err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			return all
		}
	}
}

// The frames appended together with an error are written first, also to a peer that reads them much later.
func TestErrorFromAppend(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		for _, size := range []int{0, 1, 5 << 10, 2 << 20} {
			farewell := bytes.Repeat([]byte("good bye\n"), size/9+1)[:size]
			asked := make(chan struct{}, 1)
			src := newScript(t, func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
				if turn.Written.IsZero() {
					return append(dst, "hello\n"...), turn.Now, nil
				}
				asked <- struct{}{}
				return append(dst, farewell...), time.Time{}, errOver
			})
			s := serveOne(t, setup{proto: proto, buffer: 16 << 10}, src)
			c := s.rawBy(t, smallPeer(), request)
			<-asked
			_, body, rest := dechunk(t, readOddly(t, c, new(atomic.Int64)))
			if end := src.end(t); !errors.Is(end.err, errOver) || string(body) != "hello\n"+string(farewell) || len(rest) != 0 {
				t.Errorf("%v with %d bytes of %d, and %q", end.err, len(body), 6+size, rest)
			}
			if calls := src.calls.Load(); calls != 2 {
				t.Errorf("asked %d times", calls)
			}
		}
	})
}
