//go:build linux

package engine_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// attackHarness is a server with TLS. /numbers is answered by numbers, which a well-behaved client receives, and
// each other path by the source that a test has set for it.
type attackHarness struct {
	t       *testing.T
	engine  *engine.Engine
	sockets *engine.Sockets
	addr    string
	sources sync.Map // by path
	numbers *numbers
	last    int
	in      lines
}

const attackHeadTimeout = 3 * time.Second

func newAttackHarness(t *testing.T) *attackHarness {
	t.Helper()
	h := &attackHarness{t: t, engine: newEngine(t), sockets: engine.NewSockets(engine.SocketOptions{}), numbers: newNumbers(t)}
	h.sources.Store("/numbers", h.numbers)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: testTLS(t), ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		src, _ := h.sources.Load(r.URL.Path)
		if src == nil {
			src = &once{text: "well\n"}
		}
		h.engine.Serve(w, r, src.(engine.Source), engine.Options{})
	})}
	l, err = h.engine.Attach(server, l, engine.ListenerOptions{
		IsSubscribe: func(string) bool { return true }, Sockets: h.sockets, HeadTimeout: attackHeadTimeout, SendBuffer: 16 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	c := h.connect()
	_, _ = io.WriteString(c, get("/numbers"))
	h.in = rawLines(t, c)
	h.in.want(0)
	return h
}

// connect returns a connection of a well-behaved client.
func (h *attackHarness) connect() *tls.Conn {
	h.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	tcp, err := d.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { tcp.Close() })
	_ = tcp.SetDeadline(time.Now().Add(waitTimeout))
	c := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// checkOthers checks that events are delivered, and that new clients are served.
func (h *attackHarness) checkOthers() {
	h.t.Helper()
	for range 10 {
		h.last++
		h.numbers.put(h.last)
		h.in.want(h.last)
	}
	c := h.connect()
	defer c.Close()
	_, _ = io.WriteString(c, get("/well"))
	if body, err := readBody(bufio.NewReader(c)); body != "well\n" || err != nil {
		h.t.Errorf("another client received %q, %v", body, err)
	}
}

// attack returns a client that has sent a request, and the source of its response, which has frames without end.
func (h *attackHarness) attack(version uint16) (*recordClient, *script) {
	h.t.Helper()
	src := endless(h.t)
	h.sources.Store("/attack", src)
	c := dialRecords(h.t, h.addr, version)
	if !c.send(c.seal(recordApplication, []byte(get("/attack")))) {
		h.t.Fatal("the server accepts no request")
	}
	await(h.t, src.started)
	return c, src
}

// TLS 1.2 clients could otherwise make the server compute handshakes without end on one connection.
func TestAttack_Renegotiation_Refused(t *testing.T) {
	t.Parallel()
	h := newAttackHarness(t)
	for _, duringResponse := range []bool{false, true} {
		c, src := dialRecords(t, h.addr, tls.VersionTLS12), newNumbers(t)
		h.sources.Store("/quiet", src)
		if duringResponse {
			c.send(c.seal(recordApplication, []byte(get("/quiet"))))
			rawLines(t, c.tls).want(0)
		}
		c.send(c.seal(recordHandshake, helloMessage(t)))
		if _, err := io.Copy(io.Discard, c.tls); err == nil {
			t.Error("the connection ends without an alert")
		} else if isTimeout(err) {
			t.Error("the connection does not end")
		}
		if duringResponse {
			if end := src.end(t); end.err != engine.ErrGone {
				t.Error(end.err)
			}
		}
	}
	h.checkOthers()
	h.checkReleased()
}

// checkReleased checks that only the client of /numbers is left.
func (h *attackHarness) checkReleased() {
	h.t.Helper()
	start := time.Now()
	for s := h.sockets.Status(); s.Open != 1; s = h.sockets.Status() {
		if time.Sleep(5 * time.Millisecond); time.Since(start) > waitTimeout {
			h.t.Fatalf("%+v", s)
		}
	}
	if s := h.engine.Handshakes(); s.Running != 0 || s.Waiting != 0 {
		h.t.Errorf("%+v", s)
	}
}

// helloMessage returns a ClientHello without the head of its record.
func helloMessage(t testing.TB) []byte {
	t.Helper()
	return helloRecord(t)[5:]
}

// helloRecord returns the first bytes that a client sends.
func helloRecord(t testing.TB) (hello []byte) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	var handshake sync.WaitGroup
	defer handshake.Wait()
	defer server.Close()
	handshake.Go(func() { _ = tls.Client(client, &tls.Config{InsecureSkipVerify: true}).Handshake() })
	buf := make([]byte, 16<<10)
	n, err := server.Read(buf)
	if err != nil || buf[0] != recordHandshake || buf[5] != messageClientHello {
		t.Fatal("not a ClientHello")
	}
	return buf[:n]
}

// A client that sends messages without end, and reads nothing, does not occupy memory: its connection ends, or
// the engine reads no more from it.
func TestAttack_Floods_Bounded(t *testing.T) {
	t.Parallel()
	const accepted = 32 << 20 // more than the buffers of the kernel
	floods := map[string]struct {
		version uint16
		ends    bool // the server closes the connection
		records func(c *recordClient) []byte
	}{
		"alerts":               {tls.VersionTLS13, true, func(c *recordClient) []byte { return c.seal(recordAlert, []byte{1, 90}) }}, // user_canceled
		"alerts of 1.2":        {tls.VersionTLS12, true, func(c *recordClient) []byte { return c.seal(recordAlert, []byte{1, 100}) }},
		"empty records":        {tls.VersionTLS13, true, func(c *recordClient) []byte { return c.seal(recordApplication, nil) }},
		"empty records of 1.2": {tls.VersionTLS12, true, func(c *recordClient) []byte { return c.seal(recordApplication, nil) }},
		"key updates":          {tls.VersionTLS13, true, (*recordClient).keyUpdate},
		"key updates, data": {tls.VersionTLS13, false, func(c *recordClient) []byte {
			return append(c.keyUpdate(), c.seal(recordApplication, []byte("x"))...)
		}},
		"alerts, data": {tls.VersionTLS12, false, func(c *recordClient) []byte {
			return append(c.seal(recordAlert, []byte{1, 100}), c.seal(recordApplication, []byte("x"))...)
		}},
		"data":        {tls.VersionTLS13, false, func(c *recordClient) []byte { return c.seal(recordApplication, make([]byte, 16<<10)) }},
		"data of 1.2": {tls.VersionTLS12, false, func(c *recordClient) []byte { return c.seal(recordApplication, make([]byte, 16<<10)) }},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newAttackHarness(t)
			c, src := h.attack(flood.version)
			sent := 0
			for sent < accepted {
				var records []byte
				for len(records) < 16<<10 {
					records = append(records, flood.records(c)...)
				}
				if !c.send(records) {
					break
				}
				sent += len(records)
			}
			if sent >= accepted {
				t.Errorf("the server accepted %d bytes", sent)
			}
			h.checkOthers()
			if !flood.ends {
				_ = c.tcp.SetLinger(0)
				_ = c.tcp.Close()
			}
			if end := src.end(t); end.err != engine.ErrGone {
				t.Error(end.err)
			}
			h.checkReleased()
		})
	}
}

// The keys of a connection change during its response, as often as the client requests it.
func TestTLS_KeyUpdates_FramesContinue(t *testing.T) {
	t.Parallel()
	h := newAttackHarness(t)
	src := newNumbers(t)
	h.sources.Store("/quiet", src)
	c := dialRecords(t, h.addr, tls.VersionTLS13)
	c.send(c.seal(recordApplication, []byte(get("/quiet"))))
	in := rawLines(t, c.tls)
	in.want(0)
	for i := 1; i <= 10; i++ {
		c.send(c.keyUpdate())
		src.put(i)
		in.want(i)
	}
	src.finish(engine.ErrComplete)
	if in.Scan() || in.Err() != nil {
		t.Errorf("%q, %v", in.Text(), in.Err())
	}
	src.end(t)
	c.send(append(c.keyUpdate(), c.seal(recordApplication, []byte(get("/well")))...))
	if body, err := readBody(bufio.NewReader(c.tls)); body != "well\n" || err != nil {
		t.Errorf("the next request: %q, %v", body, err)
	}
}

// A close_notify ends the response, also if the socket stays open.
func TestTLS_CloseNotifyDuringResponse_SourceEnds(t *testing.T) {
	t.Parallel()
	h := newAttackHarness(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		src := newNumbers(t)
		h.sources.Store("/quiet", src)
		c := dialRecords(t, h.addr, version)
		c.send(c.seal(recordApplication, []byte(get("/quiet"))))
		rawLines(t, c.tls).want(0)
		c.send(c.seal(recordAlert, []byte{1, 0}))
		if end := src.end(t); end.err != engine.ErrGone {
			t.Errorf("%x: %v", version, end.err)
		}
	}
	h.checkReleased()
}
