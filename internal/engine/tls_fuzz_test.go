//go:build linux

package engine_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// piecesConn cuts the bytes of a TLS client into pieces, and changes one of them.
type piecesConn struct {
	net.Conn
	mu     sync.Mutex
	pieces []byte // the sizes of the pieces; 0 keeps a write back until the next, or until the next read
	kept   []byte
	sent   int
	flipAt int
	flip   byte // the bits to change at the offset flipAt
}

// Write implements net.Conn.
func (c *piecesConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range b {
		changed := b[i]
		if c.sent++; c.sent-1 == c.flipAt {
			changed ^= c.flip
		}
		c.kept = append(c.kept, changed)
	}
	for len(c.kept) > 0 && len(c.pieces) > 0 {
		size := int(c.pieces[0])
		c.pieces = c.pieces[1:]
		if size == 0 {
			return len(b), nil
		}
		n := min(len(c.kept), size*size/64+1)
		if _, err := c.Conn.Write(c.kept[:n]); err != nil {
			return 0, err
		}
		if c.kept = c.kept[n:]; size%2 == 1 {
			time.Sleep(100 * time.Microsecond) // so that the server sees the piece alone
		}
	}
	return len(b), c.flushLocked()
}

func (c *piecesConn) flushLocked() error {
	_, err := c.Conn.Write(c.kept)
	c.kept = nil
	return err
}

// flush writes the bytes that were kept back.
func (c *piecesConn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.flushLocked() // a failed write ends the reading, too
}

// Read implements net.Conn.
func (c *piecesConn) Read(b []byte) (int, error) {
	c.flush()
	return c.Conn.Read(b)
}

// tlsHarness is a server with TLS, and another client that is served all the time.
type tlsHarness struct {
	addr    string
	engine  *engine.Engine
	other   net.Conn
	otherIn *bufio.Reader
}

func newTLSHarness(t testing.TB) *tlsHarness {
	t.Helper()
	h := &tlsHarness{engine: newEngine(t)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: testTLS(t), ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := fmt.Sprintf("%s %q", r.URL, r.Header["X-Filler"])
		if r.URL.Path == "/page" {
			_, _ = io.WriteString(w, text)
			return
		}
		h.engine.Serve(w, r, &once{text: text}, engine.Options{})
	})}
	if l, err = h.engine.Attach(server, l, engine.ListenerOptions{IsSubscribe: func(path string) bool { return path == "/stream" }}); err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	tcp, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	h.other = tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
	h.otherIn = bufio.NewReader(h.other)
	t.Cleanup(func() { h.other.Close() })
	h.checkOther(t)
	return h
}

// checkOther checks that the other client is served.
func (h *tlsHarness) checkOther(t testing.TB) {
	t.Helper()
	_ = h.other.SetDeadline(time.Now().Add(waitTimeout))
	if _, err := io.WriteString(h.other, get("/stream?other")); err != nil {
		t.Fatal(err)
	}
	if body, err := readBody(h.otherIn); body != `/stream?other []` || err != nil {
		t.Fatalf("the other client received %q, %v", body, err)
	}
}

func readBody(in *bufio.Reader) (string, error) {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// tlsRequests are the requests of a connection, of which the last for the engine is followed by those for net/http.
func tlsRequests() (requests, bodies []string) {
	for i, path := range []string{"/stream", "/stream", "/stream", "/page", "/stream", "/page"} {
		filler := strings.Repeat("f", i*i*300)
		requests = append(requests, get(fmt.Sprintf("%s?n=%d", path, i), "X-Filler: "+filler))
		bodies = append(bodies, fmt.Sprintf("%s?n=%d %q", path, i, []string{filler}))
	}
	return requests, bodies
}

// damagedTimeout is the time after which a client gives up with changed bytes. The server may wait for more of them.
const damagedTimeout = 50 * time.Millisecond

// check sends requests. All answers are right, or the connection ends, and the latter only if a byte was changed.
func (h *tlsHarness) check(t testing.TB, pieces []byte, flipAt int, flip byte, version uint16) {
	t.Helper()
	tcp, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	timeout := waitTimeout
	if flip != 0 {
		timeout = damagedTimeout
	}
	_ = tcp.SetDeadline(time.Now().Add(timeout))
	below := &piecesConn{Conn: tcp, pieces: pieces, flipAt: flipAt, flip: flip}
	c := tls.Client(below, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	requests, bodies := tlsRequests()
	var sending sync.WaitGroup
	defer sending.Wait()
	defer tcp.Close()
	sending.Go(func() {
		for _, request := range requests {
			if _, err := io.WriteString(c, request); err != nil {
				return
			}
		}
		below.flush()
	})
	in := bufio.NewReader(c)
	for i, want := range bodies {
		got, err := readBody(in)
		switch {
		case err != nil && flip == 0:
			t.Fatalf("pieces %v, version %x: answer %d: %v", pieces, version, i, err)
		case err == nil && got != want:
			t.Fatalf("pieces %v, flip %x at %d, version %x: answer %d is %q", pieces, flip, flipAt, version, i, got)
		case err != nil:
			h.checkOther(t)
			return
		}
	}
	h.checkOther(t)
}

// FuzzTLSPieces sends the bytes of a TLS client in arbitrary pieces, perhaps with one byte changed.
func FuzzTLSPieces(f *testing.F) {
	f.Add([]byte{}, 0, byte(0), false)
	f.Add([]byte{1, 2, 3, 0, 0, 90, 200, 7, 0, 0}, 0, byte(0), true)
	f.Add([]byte{0, 5}, 300, byte(1), false)
	f.Add([]byte{9}, 3, byte(0x80), true)
	f.Add([]byte{}, 1900, byte(4), false)
	h := newTLSHarness(f)
	f.Fuzz(func(t *testing.T, pieces []byte, flipAt int, flip byte, old bool) {
		if len(pieces) > 500 {
			t.Skip()
		}
		h.check(t, pieces, flipAt, flip, tlsVersion(old))
	})
}

func tlsVersion(old bool) uint16 {
	if old {
		return tls.VersionTLS12
	}
	return tls.VersionTLS13
}

// Random pieces of the bytes of a TLS client are answered right. A changed byte ends the connection at most.
func TestTLS_RandomPieces_AnsweredRight(t *testing.T) {
	h := newTLSHarness(t)
	start := time.Now()
	for seed := range uint64(400) {
		if time.Since(start) > 3*time.Second {
			break // on a slow machine
		}
		r := rand.New(rand.NewPCG(seed, uint64(start.UnixNano())))
		pieces := make([]byte, r.IntN(60))
		for i := range pieces {
			pieces[i] = byte(r.IntN(256)) * byte(min(1, r.IntN(4)))
		}
		flip := byte(0)
		if seed%4 == 0 {
			flip = byte(1) << r.IntN(8)
		}
		h.check(t, pieces, r.IntN(6000), flip, tlsVersion(seed%2 == 0))
	}
}
