//go:build linux

package engine_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// comparison has a server of net/http, and servers of an engine with the same handler, in the clear and with TLS.
type comparison struct {
	reference, plain, secure string // addresses
}

// comparisonPaths are the paths whose requests the engine answers.
var comparisonPaths = map[string]bool{"/stream": true, "/refuse": true, "/nothing": true}

func newComparison(t testing.TB) *comparison {
	t.Helper()
	return &comparison{
		reference: serveComparison(t, nil, false), plain: serveComparison(t, newEngine(t), false),
		secure: serveComparison(t, newEngine(t), true),
	}
}

// serveComparison starts a server, with an engine unless that is nil.
func serveComparison(t testing.TB, e *engine.Engine, secure bool) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: comparisonHandler(e), ErrorLog: log.New(io.Discard, "", 0)}
	if secure {
		server.TLSConfig = testTLS(t)
		server.TLSConfig.NextProtos = []string{"http/1.1"}
	}
	if e != nil {
		isSubscribe := func(path string) bool { return comparisonPaths[path] }
		if l, err = e.Attach(server, l, engine.ListenerOptions{IsSubscribe: isSubscribe}); err != nil {
			t.Fatal(err)
		}
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// comparisonHandler answers with the request as the server has parsed it.
func comparisonHandler(e *engine.Engine) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var text strings.Builder
		fmt.Fprintf(&text, "%s %q %s host %q length %d coding %q\n", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(&text, "%q: %q\n", name, r.Header[name])
		}
		switch r.URL.Path {
		case "/stream":
			e.Serve(w, r, &once{text: text.String()}, engine.Options{})
		case "/refuse":
			http.Error(w, text.String(), http.StatusTooManyRequests)
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/echo":
			body, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%sbody %q, error %v, trailer %q", &text, body, err != nil, r.Trailer)
		default:
			_, _ = io.WriteString(w, text.String())
		}
	})
}

// answer is a response.
type answer struct {
	status int
	body   string
	closes bool
}

// hasBody reports whether the answer is to a request with a body.
func (a answer) hasBody() bool {
	return a.status != http.StatusOK && a.status != http.StatusTooManyRequests || !strings.Contains(a.body, " length 0 coding []\n")
}

// sentinel is the last request of a connection. With it both servers close the connection.
const sentinel = "GET /stream?sentinel HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

// answers sends the input and the sentinel, in pieces, and returns the responses up to the end of the connection. A
// reset of the socket loses responses: servers close it after an invalid request, while the client sends more.
func answers(t testing.TB, addr string, input, pieces []byte, secure bool) (all []answer, wasReset bool) {
	t.Helper()
	tcp, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	_ = tcp.SetDeadline(time.Now().Add(waitTimeout))
	c := rawConn{tcp, tcp.(*net.TCPConn)}
	if secure {
		client := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		c.Conn = client
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		sendPieces(c, slices.Concat(input, []byte(sentinel)), pieces)
		_ = c.CloseWrite()
	})
	defer sending.Wait()
	for in := bufio.NewReader(c); ; {
		if _, err := in.Peek(1); err != nil {
			if isTimeout(err) {
				t.Fatalf("the connection does not end after %+v", all)
			}
			return all, errors.Is(err, syscall.ECONNRESET)
		}
		resp, err := http.ReadResponse(in, nil)
		if errors.Is(err, syscall.ECONNRESET) {
			return all, true
		}
		if err != nil {
			t.Fatalf("%v after %+v", err, all)
		}
		body, err := io.ReadAll(resp.Body)
		if errors.Is(err, syscall.ECONNRESET) {
			return all, true
		}
		if err != nil {
			t.Fatalf("%v in the body %q of %+v after %+v", err, body, resp, all)
		}
		all = append(all, answer{resp.StatusCode, string(body), resp.Close})
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// sendPieces writes b in pieces, with sizes and pauses of the input.
func sendPieces(c net.Conn, b, pieces []byte) {
	for len(b) > 0 {
		n := len(b)
		if len(pieces) > 0 {
			n = min(n, 1+int(pieces[0])*int(pieces[0])/32)
			if pieces[0]%2 == 1 {
				time.Sleep(100 * time.Microsecond) // so that the server sees the piece alone
			}
			pieces = pieces[1:]
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
	}
}

// check compares the answers of the engine with those of net/http.
//
// The engine may differ in two ways:
//
//   - It closes the connection after its response to a request with a body, where net/http skips the body. So the
//     body is never read as a request.
//   - It rejects empty lines before a request. net/http skips them after a POST.
func (s *comparison) check(t testing.TB, input, pieces []byte, secure bool) {
	t.Helper()
	addr := s.plain
	if secure {
		addr = s.secure
	}
	want, wantReset := answers(t, s.reference, input, nil, false)
	got, gotReset := answers(t, addr, input, pieces, secure)
	if gotReset && !wantReset && !slices.ContainsFunc(want, func(a answer) bool { return a.hasBody() || a.closes && !strings.Contains(a.body, "?sentinel") }) {
		t.Fatalf("input %q, pieces %v, TLS %v: the engine resets the connection after %+v", input, pieces, secure, got)
	}
	if wantReset || gotReset {
		n := min(len(want), len(got))
		want, got = want[:n], got[:n]
	}
	for i := range max(len(want), len(got)) {
		if i >= len(got) || i >= len(want) {
			if i >= len(want) || i == 0 || !got[i-1].closes || !want[i-1].hasBody() {
				t.Fatalf("input %q, pieces %v, TLS %v: %d answers of the engine, %d of net/http:\n%+v\n%+v", input, pieces, secure, len(got), len(want), got, want)
			}
			return
		}
		if i > 0 && got[i].status == http.StatusBadRequest && strings.HasPrefix(want[i-1].body, "POST ") && i == len(got)-1 {
			return
		}
		if got[i].status != want[i].status || got[i].body != want[i].body {
			t.Fatalf("input %q, pieces %v, TLS %v: answer %d:\nengine   %+v\nnet/http %+v", input, pieces, secure, i, got[i], want[i])
		}
	}
}

// isAmbiguous reports whether the responses cannot be parsed without the requests.
func isAmbiguous(input []byte) bool {
	s := string(input)
	return strings.Contains(s, "HEAD") || strings.Contains(s, "CONNECT")
}

// FuzzKeptRequests sends arbitrary bytes in pieces on a connection. The engine answers the same requests as
// net/http, with the same responses, in the same order.
func FuzzKeptRequests(f *testing.F) {
	for _, input := range []string{
		"", get("/stream") + get("/refuse"), get("/page") + get("/stream") + get("/refuse"),
		"POST /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 41\r\n\r\n" + get("/refuse?smuggled"),
		"POST /refuse HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + get("/stream"),
		"POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
		"GET /stream HTTP/1.1\nHost: h\n\n", "GET /stream HTTP/1.1\r\nHost: h\r\nX-A: b\r\n  c\r\n\r\n", "GET /stream HTTP/1.0\r\n\r\n",
		get("/stream", "Connection: close\r\n  x") + get("/refuse"), get("/stream", "Connection: xclose") + get("/stream", "Connection: x,close"),
		"GET /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
		strings.Repeat(get("/page?"+strings.Repeat("x", 100)), 100) + get("/stream") + strings.Repeat(get("/refuse"), 100),
	} {
		f.Add([]byte(input), []byte{}, false)
		f.Add([]byte(input), []byte{3, 9, 1, 50, 20}, true)
	}
	s := newComparison(f)
	f.Fuzz(func(t *testing.T, input, pieces []byte, secure bool) {
		if isAmbiguous(input) || len(input) > 64<<10 || len(pieces) > 200 {
			t.Skip()
		}
		s.check(t, input, pieces, secure)
	})
}

// Sequences of valid and invalid requests, in arbitrary pieces, have the answers of net/http.
func TestKept_RandomRequests_AnsweredAsByNetHTTP(t *testing.T) {
	s := newComparison(t)
	start := time.Now()
	for seed := range uint64(400) {
		if time.Since(start) > 5*time.Second {
			break // on a slow machine
		}
		r := rand.New(rand.NewPCG(seed, uint64(start.UnixNano())))
		input := randomRequests(r)
		pieces := make([]byte, r.IntN(30))
		for i := range pieces {
			pieces[i] = byte(r.IntN(256))
		}
		s.check(t, input, pieces, seed%4 == 0)
	}
}

// randomRequests returns requests, most of them valid.
func randomRequests(r *rand.Rand) []byte {
	var all strings.Builder
	for range 1 + r.IntN(8) {
		if r.IntN(20) == 0 {
			for range 1 + r.IntN(30) {
				all.WriteString(randomRequest(r)) // more than the buffers of net/http and of an acceptor
			}
		}
		all.WriteString(randomRequest(r))
	}
	b := []byte(all.String())
	if r.IntN(10) == 0 {
		b[r.IntN(len(b))] = byte(r.IntN(256))
	}
	if isAmbiguous(b) {
		return nil
	}
	return b
}

func randomRequest(r *rand.Rand) string {
	pick := func(usual int, from ...string) string {
		if r.IntN(usual+1) > 0 {
			return from[0]
		}
		return from[r.IntN(len(from))]
	}
	path := pick(1, "/stream", "/refuse", "/nothing", "/page", "/echo", "/stream", "/refuse")
	path = pick(20, path, "http://other"+path, "/"+path, "*", "/stream%20", "", "/%zz", path+" ", path+"#f") + fmt.Sprintf("?n=%d", r.IntN(1000))
	lineEnd := pick(30, "\r\n", "\n", "\r\r\n", "\r")
	var b strings.Builder
	b.WriteString(pick(30, "", "\r\n", "\n", " ") + pick(4, "GET", "POST", "PUT", "OPTIONS", "get", "GE T", "TRACE") + " " + path)
	b.WriteString(pick(20, " HTTP/1.1", " HTTP/1.0", " HTTP/1.1 ", " http/1.1", "", "  HTTP/1.1", " HTTP/1.2", " HTTP/2.0") + lineEnd)
	b.WriteString(pick(30, "Host: h", "Host: h\r\nHost: i", "X: y", "Host : h", "Host: h h", "Host:", "host: h:80", "Host: h\x00") + lineEnd)
	for range r.IntN(4) {
		b.WriteString(pick(10, fmt.Sprintf("X-%d: %d", r.IntN(9), r.IntN(99)), "X-A: b\r\n  c", " X-A: b", "X-A : b", "X-A: \x01", "X A: b", "X-A", ":b",
			"X-A: "+strings.Repeat("y", r.IntN(5000)), "Connection: keep-alive", "Connection: close", "Connection: x, close", "Connection: Upgrade\r\nUpgrade: x",
			"X-Ä: b", "X-A: \t b\t", "X-A: b\rc", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__") + lineEnd)
	}
	body := pick(1, "", "hello", get("/stream?smuggled"), get("/page?smuggled"), "0\r\n\r\n", strings.Repeat("z", r.IntN(9000)))
	chunked := fmt.Sprintf("%x%s\r\n%s\r\n%s\r\n%s\r\n", len(body), pick(5, "", ";a=b", " ", "x"), body, pick(9, "0", "00", "0;x", "-1", ""), pick(9, "", "X-T: u\r\n"))
	if body == "" {
		chunked = "0\r\n\r\n"
	}
	length := fmt.Sprintf("Content-Length: %d", len(body))
	switch {
	case r.IntN(3) == 0:
		b.WriteString(pick(5, length, length+"\r\n"+length, length+"\r\nContent-Length: 3", "Content-Length: +1", "Content-Length: 1, 1", "Content-Length: x", "Content-Length : 5") + lineEnd)
	case r.IntN(4) == 0:
		coding := pick(5, "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
			"Transfer-Encoding : chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked\r\n"+length, "Transfer-Encoding\r\n : chunked")
		b.WriteString(coding + lineEnd)
		body = chunked
	}
	if body != "" {
		b.WriteString(pick(4, "X-B: c", "Expect: 100-continue", "Expect: x", "Trailer: X-T") + lineEnd)
	}
	return b.String() + lineEnd + body
}
