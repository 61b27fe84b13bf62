package engine_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// TestClose checks that Ended of every source is called once, in every state: idle, blocked, or just
// added.
func TestClose(t *testing.T) {
	for range 10 {
		const idle, blocked, arriving = 20, 5, 40
		var mu sync.Mutex
		var all []*script
		s := newServing(t, setup{proto: "http1", buffer: 16 << 10}, func(r *http.Request) engine.Source {
			src := newNumbers(t).script
			if r.URL.Path == "/blocked" {
				src = endless(t)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, src)
			return src
		})
		for range idle {
			rawLines(t, s.raw(t, request)).want(0)
		}
		var conns []net.Conn
		for range blocked {
			conns = append(conns, s.rawBy(t, smallPeer(), "GET /blocked HTTP/1.1\r\nHost: tidemark\r\n\r\n"))
		}
		var arrivals sync.WaitGroup
		for range arriving {
			c := s.raw(t, "")
			conns = append(conns, c)
			arrivals.Go(func() { _, _ = io.WriteString(c, request) })
		}
		s.engine.Close()
		s.engine.Close()
		arrivals.Wait()
		for _, c := range conns {
			_, _ = c.Read(make([]byte, 1)) // returns after the response or the close
			_ = c.Close()
		}
		closed := 0
		mu.Lock()
		for _, src := range all {
			// Connections accepted after the close of the engine live until their client disconnects.
			switch end := src.end(t); end.err {
			case engine.ErrClosed:
				closed++
			case engine.ErrGone:
			default:
				t.Error(end.err)
			}
		}
		mu.Unlock()
		if closed < idle {
			t.Errorf("%d sources were told that the engine is closed, of %d at least", closed, idle)
		}
	}
}

// Close between two turns results in ErrClosed.
func TestCloseDuringTurns(t *testing.T) {
	for range 20 {
		var all [5]*script
		var next atomic.Int32
		s := newServing(t, setup{proto: "http1"}, func(*http.Request) engine.Source {
			src := endless(t)
			all[next.Add(1)-1] = src
			return src
		})
		var peers sync.WaitGroup
		for range all {
			c := s.raw(t, request)
			peers.Go(func() { _, _ = io.Copy(io.Discard, c) })
		}
		for int(next.Load()) < len(all) {
			time.Sleep(time.Millisecond)
		}
		s.engine.Close()
		for _, src := range all {
			select {
			case end := <-src.ended:
				if end.err != engine.ErrClosed {
					t.Error(end.err)
				}
			default:
				if src.calls.Load() == 0 {
					continue // the engine was closed before the handler ran
				}
				t.Error("closed, and a source was not told")
			}
		}
		s.server.CloseClientConnections()
		s.server.Close()
		peers.Wait()
	}
}

// A handler that calls Serve while the engine closes does not delay Close. Its source is ended.
func TestClose_HandlerCallsServe_SourceEnds(t *testing.T) {
	for _, proto := range []string{"attached", "tls"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			inHandler, resume := make(chan struct{}), make(chan struct{})
			src := newNumbers(t)
			s := newServing(t, setup{proto: proto}, func(*http.Request) engine.Source {
				close(inHandler)
				<-resume
				return src
			})
			s.raw(t, request)
			<-inHandler
			closed := make(chan struct{})
			go func() {
				s.engine.Close()
				close(closed)
			}()
			for s.serves(t) {
				time.Sleep(time.Millisecond)
			}
			close(resume)
			if end := src.end(t); end.err != engine.ErrClosed {
				t.Error(end.err)
			}
			await(t, closed)
		})
	}
}

// serves reports whether the engine answers requests. A new connection of a closed engine ends at once.
func (s *serving) serves(t *testing.T) bool {
	t.Helper()
	c, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	_, _ = io.WriteString(c, "GET")
	_ = c.(*net.TCPConn).CloseWrite()
	_, err = c.Read(make([]byte, 1))
	return err == io.EOF
}

// After Close, a connection is served by the goroutine of its handler.
func TestServeAfterClose(t *testing.T) {
	src := newNumbers(t)
	s := serveOne(t, setup{proto: "http1"}, src)
	s.engine.Close()
	in := bodyLines(t, s.get(t).Body)
	in.want(0)
	src.put(1)
	in.want(1)
	src.finish(errOver)
	if in.Scan() || in.Err() != io.ErrUnexpectedEOF {
		t.Errorf("%q, %v", in.Text(), in.Err())
	}
	if end := src.end(t); end.err != errOver {
		t.Error(end.err)
	}
}

// Descriptors are reused immediately, while epoll still reports events of the previous connection. Each
// connection ends with its own error, and the others stay open.
func TestDescriptors_ReusedAtOnce_EventsNotMixedUp(t *testing.T) {
	const staying, workers, each = 20, 8, 250
	var sources sync.Map
	s := newServing(t, setup{proto: "http1"}, func(r *http.Request) engine.Source {
		src := newNumbers(t)
		sources.Store(r.URL.Path, src)
		return src
	})
	open := func(name string) (rawConn, lines, *numbers) {
		c := s.raw(t, "GET /"+name+" HTTP/1.1\r\nHost: tidemark\r\n\r\n")
		in := rawLines(t, c)
		in.want(0)
		src, _ := sources.LoadAndDelete("/" + name)
		return c, in, src.(*numbers)
	}
	check := func(in lines, src *numbers, from, to int) {
		for i := from; i < to; i++ {
			src.put(i)
			in.want(i)
		}
	}
	type stream struct {
		in  lines
		src *numbers
	}
	var stay []stream
	for i := range staying {
		_, in, src := open("stay" + string(rune('a'+i)))
		stay = append(stay, stream{in, src})
	}
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			for i := range each {
				c, in, src := open(string(rune('a' + w)))
				check(in, src, 1, 1+i%4)
				want := engine.ErrGone
				switch i % 4 {
				case 0:
					src.finish(errOver)
					want = errOver
					if in.Scan() || in.Err() != io.ErrUnexpectedEOF {
						t.Errorf("%q, %v", in.Text(), in.Err())
					}
				case 1:
					leavings["half"](c)
				case 2:
					leavings["close"](c)
				}
				leavings["reset"](c)
				if end := src.end(t); !errors.Is(end.err, want) {
					t.Errorf("ended with %v, not %v", end.err, want)
				}
			}
		})
	}
	working.Wait()
	for _, it := range stay {
		check(it.in, it.src, 1, 3)
	}
}
