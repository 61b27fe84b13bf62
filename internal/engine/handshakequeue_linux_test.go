package engine

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/internal/tlsconfig"
)

// clientHello returns the first bytes of a TLS client.
func clientHello(t testing.TB) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		_ = tls.Client(near, &tls.Config{InsecureSkipVerify: true}).Handshake() //nolint:noctx // ends with far
		_ = near.Close()
	}()
	hello := make([]byte, 16<<10)
	n, err := far.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// serveTLS serves TLS with an engine that runs few handshakes at a time. A client has a minute for each step.
func serveTLS(t *testing.T) (e *Engine, addr string) {
	t.Helper()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	e.handshakes.limit = 4
	secure, err := tlsconfig.Open(tlsconfig.Options{SelfSigned: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: http.NotFoundHandler(), TLSConfig: secure.Config(), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
	}
	attached, err := e.Attach(srv, l, ListenerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(attached) })
	t.Cleanup(func() {
		_ = srv.Close()
		e.Close()
		serving.Wait()
	})
	return e, l.Addr().String()
}

func dialFrom(t *testing.T, ip, addr string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute / 2)) // less than the deadline of a handshake
	return c
}

// Clients of many addresses send a ClientHello and nothing more. A client that continues does not wait for their
// deadlines.
func TestHandshakes_StalledClientsFillTheLimit_OthersServed(t *testing.T) {
	e, addr := serveTLS(t)
	hello := clientHello(t)
	for i := range 12 {
		c := dialFrom(t, fmt.Sprintf("127.0.0.%d", 2+i), addr)
		if _, err := c.Write(hello); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, time.Minute, "the limit is reached", func() bool {
		s := e.Handshakes()
		return s.Running == 4 && s.Waiting > 0
	})
	for range 3 {
		c := tls.Client(dialFrom(t, "127.0.0.100", addr), &tls.Config{InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil { //nolint:noctx // has a deadline
			t.Fatal(err)
		}
	}
}

// Clients that disconnect while they wait for their handshake leave the queue.
func TestHandshakes_WaitingClientsDisconnect_LeaveTheQueue(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"close": func(c *net.TCPConn) { _ = c.Close() },
		"half":  func(c *net.TCPConn) { _ = c.CloseWrite() },
		"reset": func(c *net.TCPConn) {
			_ = c.SetLinger(0)
			_ = c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, addr := serveTLS(t)
			e.handshakes.mu.Lock()
			e.handshakes.limit = 0 // all wait
			e.handshakes.mu.Unlock()
			hello := clientHello(t)
			var conns []net.Conn
			for range 20 {
				c := dialFrom(t, "127.0.0.2", addr)
				_, _ = c.Write(hello)
				conns = append(conns, c)
			}
			testkit.Eventually(t, time.Minute, "all wait", func() bool { return e.Handshakes().Waiting == 20 })
			for _, c := range conns {
				leave(c.(*net.TCPConn))
			}
			testkit.Eventually(t, time.Minute, "all have left", func() bool {
				s := e.Handshakes()
				return s.Waiting == 0 && s.Failed == 20
			})
		})
	}
}

// A ClientHello in pieces of any size, and in records of any size, is complete with its last byte.
func TestHelloScanner_Pieces_CompleteWithTheLastByte(t *testing.T) {
	hello := clientHello(t)
	message := hello[5:]
	for _, size := range []int{200, 500, 1000, len(message)} {
		var input []byte
		for rest := message; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			n := min(size, len(rest))
			input = append(append(input, 22, 3, 1, byte(n>>8), byte(n)), rest[:n]...)
		}
		for _, piece := range []int{1, 3, 100, len(input)} {
			var s helloScanner
			for end := 0; end < len(input); {
				if kind := s.scan(input[:end]); kind != helloIncomplete {
					t.Fatalf("records of %d: %v after %d of %d bytes", size, kind, end, len(input))
				}
				end = min(end+piece, len(input))
				if end == len(input) && s.scan(input) != helloComplete {
					t.Errorf("records of %d, pieces of %d: not complete", size, piece)
				}
			}
		}
	}
	for text, want := range map[string]helloKind{
		"": helloIncomplete, "G": helloIncomplete, "GET": helloHTTP, "POST / HTTP/1.1\r\n": helloHTTP, "\x00": helloComplete, "Ge": helloComplete,
		"\x16\x03": helloIncomplete, "\x16\x03\x01\x00\x00": helloComplete, "\x16\x03\x01\x00\x04\x02\x00\x00\x00": helloComplete,
	} {
		if got := new(helloScanner).scan([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// A hello in records of one byte is left to crypto/tls early, so that it costs the loop little.
func TestHelloScanner_ManyRecords_LeftToCryptoTLS(t *testing.T) {
	record := []byte{22, 3, 1, 0, 1, 1}
	input := bytes.Repeat(record, maxHelloRecords)
	var s helloScanner
	if kind := s.scan(input[:len(input)-1]); kind != helloIncomplete {
		t.Error(kind)
	}
	if kind := s.scan(bytes.Repeat(record, maxHelloRecords+1)); kind != helloComplete {
		t.Error(kind)
	}
}

// Addresses take turns, within their own limit and that of all.
func TestHandshakes_ManyAddresses_TakeTurns(t *testing.T) {
	q := newHandshakes()
	q.limit = 100
	add := func(ip string, n int) {
		for range n {
			if !q.add(&handshake{from: netip.AddrPortFrom(netip.MustParseAddr(ip), 1)}, false) {
				t.Fatal("rejected")
			}
		}
	}
	add("192.0.2.1", 300)
	add("192.0.2.2", 2)
	var order []string
	for h := q.take(); h != nil; h = q.take() {
		order = append(order, h.from.Addr().String())
	}
	if len(order) != 100 || order[1] != "192.0.2.2" || order[3] != "192.0.2.2" {
		t.Errorf("%d, %v", len(order), order[:min(6, len(order))])
	}
	for range maxWaitingPerAddress {
		_ = q.add(&handshake{from: netip.MustParseAddrPort("192.0.2.3:1")}, false)
	}
	if q.add(&handshake{from: netip.MustParseAddrPort("192.0.2.3:1")}, false) {
		t.Error("an address exceeds its limit")
	}
	if !q.add(&handshake{from: netip.MustParseAddrPort("192.0.2.4:1")}, false) {
		t.Error("another address is rejected")
	}
	if s := q.counts; s.Rejected != 1 || s.Running != 100 {
		t.Errorf("%+v", s)
	}
}
