package engine_test

import (
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// leavings lists the ways in which a peer disconnects.
var leavings = map[string]func(rawConn){
	"close": func(c rawConn) { _ = c.Close() },
	"reset": func(c rawConn) {
		_ = c.tcp.SetLinger(0)
		_ = c.Close()
	},
	"half": func(c rawConn) { _ = c.CloseWrite() },
}

// After a disconnect the source is notified without a write, and not called again.
func TestPeerGone(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		for way, leave := range leavings {
			src := newNumbers(t)
			c := serveOne(t, setup{proto: proto}, src).raw(t, request)
			rawLines(t, c).want(0)
			leave(c)
			if end := src.end(t); end.err != engine.ErrGone {
				t.Errorf("%s: %v", way, end.err)
			}
			for i := range 10 {
				src.put(i) // script fails the test if Append is called
			}
		}
	})
}

// A disconnect is detected while the socket is blocked.
func TestPeerGoneWhileBlocked(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		for way, leave := range leavings {
			src := endless(t)
			c := serveOne(t, setup{proto: proto, buffer: 16 << 10}, src).rawBy(t, smallPeer(), request)
			<-src.started
			standing(src)
			leave(c)
			if proto == "goroutine" && way == "half" {
				_ = c.Close() // net/http detects the half close only at a write
			}
			if end := src.end(t); end.err != engine.ErrGone {
				t.Errorf("%s: %v", way, end.err)
			}
		}
	})
}

// A connection uses one descriptor, and releases it at its end.
func TestDescriptors(t *testing.T) {
	if _, err := descriptors(); err != nil {
		t.Skip(err)
	}
	for _, proto := range []string{"http1", "goroutine"} {
		t.Run(proto, func(t *testing.T) {
			const streams = 30
			left := make(chan *numbers, streams)
			s := newServing(t, setup{proto: proto}, func(*http.Request) engine.Source {
				src := newNumbers(t)
				left <- src
				return src
			})
			before, _ := descriptors()
			var conns []rawConn
			for range streams {
				c := s.raw(t, request)
				rawLines(t, c).want(0)
				conns = append(conns, c)
			}
			awaitDescriptors(t, before+2*streams) // the clients of the test use the same number
			for i, c := range conns {
				src := <-left
				if i%2 == 0 {
					src.finish(errOver)
					_, _ = io.Copy(io.Discard, c)
				}
				_ = c.Close()
				src.end(t)
			}
			awaitDescriptors(t, before)
		})
	}
}

func descriptors() (int, error) {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return len(names), err
}

func awaitDescriptors(t *testing.T, want int) {
	t.Helper()
	var n int
	for end := time.Now().Add(waitTimeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, _ = descriptors(); n == want {
			return
		}
	}
	t.Errorf("%d descriptors are open, not %d", n, want)
}

// A peer that accepts no bytes is disconnected after the whole timeout.
func TestPeerTakesNothing(t *testing.T) {
	eachHTTP1(t, func(t *testing.T, proto string) {
		const timeout = 100 * time.Millisecond
		src := endless(t)
		var asked time.Time
		more := src.next
		src.next = func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
			asked = turn.Now
			return more(dst, turn)
		}
		s := serveOne(t, setup{proto: proto, opts: engine.Options{WriteTimeout: timeout}, buffer: 16 << 10}, src)
		c := s.rawBy(t, smallPeer(), request)
		end := src.end(t)
		if took := end.at.Sub(asked); end.err != engine.ErrTimeout || took < timeout {
			t.Errorf("%v after %v", end.err, took)
		}
		raw, err := io.ReadAll(c)
		if err != nil && proto != "tls" || (proto == "http1" || proto == "attached") && int64(len(raw)) != end.written {
			t.Errorf("%d bytes arrived, %d were counted: %v", len(raw), end.written, err)
		}
	})
}

// With every protocol, a client that does not read the body results in ErrTimeout.
func TestClientReadsNoBody(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		src := endless(t)
		s := serveOne(t, setup{proto: proto, opts: engine.Options{WriteTimeout: 100 * time.Millisecond}}, src)
		s.get(t)
		if end := src.end(t); end.err != engine.ErrTimeout {
			t.Error(end.err)
		}
	})
}

// With every protocol, a disconnect results in ErrGone.
func TestClientCloses(t *testing.T) {
	eachServe(t, func(t *testing.T, proto string) {
		src := newNumbers(t)
		resp := serveOne(t, setup{proto: proto}, src).get(t)
		bodyLines(t, resp.Body).want(0)
		_ = resp.Body.Close()
		if end := src.end(t); end.err != engine.ErrGone {
			t.Error(end.err)
		}
	})
}

// A peer that reads less than a third of the kernel's buffer per timeout is not disconnected. In this case
// epoll does not report that the socket accepts bytes.
func TestPeerTakesLittle(t *testing.T) {
	t.Parallel()
	const timeout, timeouts, pause = time.Second, 4, 20 * time.Millisecond
	src := endless(t)
	s := serveOne(t, setup{proto: "http1", opts: engine.Options{WriteTimeout: timeout}, buffer: 4 << 20}, src)
	c := s.rawBy(t, smallPeer(), request)
	<-src.started
	standing(src)
	calls := src.calls.Load()
	buf := make([]byte, 2<<10)
	last, longest := time.Now(), time.Duration(0)
	for end := last.Add(timeouts * timeout); last.Before(end); time.Sleep(pause) {
		if _, err := io.ReadFull(c, buf); err != nil {
			if longest > timeout/2 {
				t.Skipf("the machine stood still for %v", longest)
			}
			t.Fatal(err)
		}
		longest = max(longest, time.Since(last))
		last = time.Now()
	}
	if n := src.calls.Load(); n != calls {
		t.Errorf("the peer took so much that the source was asked %d times", n-calls)
	}
	_ = c.Close()
	if end := src.end(t); end.err != engine.ErrGone {
		t.Error(end.err)
	}
}
