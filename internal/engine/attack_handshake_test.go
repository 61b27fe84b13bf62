//go:build linux

package engine_test

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// stalls are the places in a handshake where a client stops sending.
var stalls = map[string]func(t testing.TB, c net.Conn){
	"nothing":       func(testing.TB, net.Conn) {},
	"half hello":    func(t testing.TB, c net.Conn) { _, _ = c.Write(stalledHello(t)[:100]) },
	"hello":         func(t testing.TB, c net.Conn) { _, _ = c.Write(stalledHello(t)) },
	"half finished": func(_ testing.TB, c net.Conn) { _ = tls.Client(&finishedStall{Conn: c}, stallConfig).Handshake() },
}

var stallConfig = &tls.Config{InsecureSkipVerify: true}

var onceHello struct {
	sync.Once
	hello []byte
}

func stalledHello(t testing.TB) []byte {
	onceHello.Do(func() { onceHello.hello = helloRecord(t) })
	return onceHello.hello
}

var errStalled = errors.New("the client sends no more")

// finishedStall lets a client send half of its Finished.
type finishedStall struct{ net.Conn }

// Write implements net.Conn.
func (c *finishedStall) Write(b []byte) (int, error) {
	const changeCipherSpec = 6 // bytes, sent before Finished or in the same write
	if b[0] == recordHandshake || len(b) == changeCipherSpec {
		return c.Conn.Write(b)
	}
	_, _ = c.Conn.Write(b[:len(b)-20])
	return 0, errStalled
}

// stall opens connections that stop at a place of the handshake. Several addresses share them, as the number of
// running handshakes of an address is limited.
func (h *attackHarness) stall(n int, at func(testing.TB, net.Conn)) []net.Conn {
	h.t.Helper()
	conns := make([]net.Conn, n)
	var dials sync.WaitGroup
	for worker := range 8 {
		dials.Go(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(worker+1))}}
			for i := worker; i < n; i += 8 {
				c, err := d.Dial("tcp", h.addr)
				if err != nil {
					h.t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(waitTimeout))
				conns[i] = c
				at(h.t, c)
			}
		})
	}
	dials.Wait()
	h.t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	return conns
}

// A thousand clients that stop in the middle of their handshake do not delay others. They are disconnected after
// HeadTimeout.
func TestAttack_StalledHandshakes_OthersServed(t *testing.T) {
	t.Parallel()
	h := newAttackHarness(t)
	each := 250
	if testing.Short() {
		each = 50
	}
	var conns []net.Conn
	for _, at := range stalls {
		conns = append(conns, h.stall(each, at)...)
		h.checkOthers()
	}
	for _, c := range conns {
		buf := make([]byte, 4<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				if isTimeout(err) {
					t.Error("a connection does not end")
				}
				break
			}
		}
	}
	h.checkOthers()
	h.checkReleased()
}

// A stalled handshake occupies little memory, whatever the client has sent.
func TestAttack_StalledHandshakes_MemoryBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("the memory is that of the whole process")
	}
	const n, most = 250, 80 << 10 // bytes, including those of the client
	for name, at := range stalls {
		t.Run(name, func(t *testing.T) {
			h := newAttackHarness(t)
			stalledHello(t)
			before := memoryInUse()
			h.stall(n, at)
			if name == "hello" || name == "half finished" {
				for s := h.engine.Handshakes(); s.Running < n; s = h.engine.Handshakes() {
					if s.Failed > 0 {
						t.Skip("HeadTimeout ended a handshake before all were running")
					}
					time.Sleep(time.Millisecond)
				}
			}
			each := (memoryInUse() - before) / n
			t.Logf("%d bytes a stalled handshake, with the client's connection", each)
			if each > most {
				t.Errorf("%d bytes a stalled handshake", each)
			}
		})
	}
}

// memoryInUse returns the bytes of the heap and the stacks.
func memoryInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
