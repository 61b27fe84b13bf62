package engine_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidemark/tidemark/internal/engine"
)

// audience is many clients of a server. They use no goroutines and hardly any memory: they are
// descriptors, and their bytes are discarded.
type audience struct {
	serving
	sources []*listener
	clients []int
}

// listener is a source of the broadcast frames.
type listener struct {
	to   *broadcast
	sent int64
	w    engine.Waker
}

// broadcast counts the frames to send, and waits until all sources have sent them.
type broadcast struct {
	frame []byte
	there atomic.Int64
	left  atomic.Int64 // sources that have not sent the last frame
	all   chan struct{}
}

func (l *listener) Start(w engine.Waker) { l.w = w }
func (l *listener) Ended(error, int64)   {}

func (l *listener) Append(dst []byte, _ engine.WriteTurn) ([]byte, time.Time, error) {
	if n := l.to.there.Load(); l.sent < n {
		l.sent = n
		dst = append(dst, l.to.frame...)
		if l.to.left.Add(-1) == 0 {
			l.to.all <- struct{}{}
		}
	}
	return dst, time.Time{}, nil
}

// send returns when all sources have appended the frames.
func (a *audience) send(to *broadcast) {
	to.left.Store(int64(len(a.sources)))
	to.there.Add(1)
	for _, l := range a.sources {
		l.w.Wake()
	}
	<-to.all
}

func newAudience(b *testing.B, proto string, clients int, to *broadcast) *audience {
	a := new(audience)
	if usesEngine(proto) {
		a.engine = newEngine(b)
	}
	var mu sync.Mutex
	there := make(chan struct{}, clients)
	a.serve(b, setup{proto: proto}, func(w http.ResponseWriter, r *http.Request) {
		l := &listener{to: to}
		mu.Lock()
		a.sources = append(a.sources, l)
		mu.Unlock()
		a.engine.Serve(w, r, started{l, there}, engine.Options{})
	})
	b.Cleanup(func() {
		for _, fd := range a.clients {
			_ = unix.Close(fd)
		}
	})
	for range clients {
		a.clients = append(a.clients, a.connect(b))
		<-there
	}
	return a
}

// started returns when a source has started.
type started struct {
	*listener
	there chan<- struct{}
}

func (s started) Start(w engine.Waker) {
	s.listener.Start(w)
	s.there <- struct{}{}
}

func (a *audience) connect(b *testing.B) int { return a.open(b, request) }

// open dials without objects of package net, and sends text.
func (a *audience) open(b *testing.B, text string) int {
	c, err := net.Dial("tcp", a.server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	client := c
	if a.proto == "tls" {
		client = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	if _, err := io.WriteString(client, text); err != nil {
		b.Fatal(err)
	}
	return descriptor(b, c)
}

// drain discards the received bytes, without a copy by the kernel.
func (a *audience) drain(buf []byte) {
	for _, fd := range a.clients {
		_, _, _ = unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	}
}

// BenchmarkDeliver sends an event of 150 bytes to all connections. The clients need one system call per 64
// deliveries.
func BenchmarkDeliver(b *testing.B) {
	for _, proto := range []string{"http1", "attached", "tls", "goroutine"} {
		for _, clients := range []int{100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", proto, clients), func(b *testing.B) {
				to := &broadcast{frame: make([]byte, 150), all: make(chan struct{}, 1)}
				a := newAudience(b, proto, clients, to)
				a.send(to) // including the head
				buf := make([]byte, 64<<10)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				sent := 0
				for b.Loop() {
					a.send(to)
					if sent++; sent%64 == 0 {
						a.drain(buf)
					}
				}
				runtime.ReadMemStats(&after)
				deliveries := float64(sent * clients)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
				b.ReportMetric(float64(after.Mallocs-before.Mallocs)/deliveries, "allocs/delivery")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkBareWrites is the lower bound of BenchmarkDeliver: a loop of system calls that write the same bytes to as
// many sockets.
func BenchmarkBareWrites(b *testing.B) {
	for _, clients := range []int{100, 1000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			a := new(audience)
			var servers []int
			for range clients {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				accepted, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				a.clients, servers = append(a.clients, descriptor(b, c)), append(servers, descriptor(b, accepted))
			}
			defer func() {
				for _, fd := range append(a.clients, servers...) {
					_ = unix.Close(fd)
				}
			}()
			frame, buf := make([]byte, 150+len("96\r\n\r\n")), make([]byte, 64<<10)
			sent := 0
			for b.Loop() {
				for _, fd := range servers {
					if n, err := unix.Write(fd, frame); err != nil || n != len(frame) {
						b.Fatal(n, err)
					}
				}
				if sent++; sent%64 == 0 {
					a.drain(buf)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent*clients), "ns/delivery")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// descriptor returns a second descriptor of a connection, and closes the connection.
func descriptor(b *testing.B, c net.Conn) (fd int) {
	b.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	_ = raw.Control(func(socket uintptr) { fd, err = unix.FcntlInt(socket, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		b.Fatal(err)
	}
	_ = c.Close()
	return fd
}

// BenchmarkIdle measures the memory of a connection between events: heap and stacks, without the kernel's
// memory and the clients.
func BenchmarkIdle(b *testing.B) {
	const clients = 2000
	for _, proto := range []string{"http1", "attached", "tls", "goroutine"} {
		b.Run(proto, func(b *testing.B) {
			to := &broadcast{frame: make([]byte, 150), all: make(chan struct{}, 1)}
			heap, stacks := inUse()
			a := newAudience(b, proto, clients, to)
			for range 10 {
				a.send(to)
			}
			heapThen, stacksThen := inUse()
			for b.Loop() {
				a.send(to)
				a.drain(to.frame)
			}
			b.ReportMetric(float64(heapThen-heap)/clients, "heap-B/conn")
			b.ReportMetric(float64(stacksThen-stacks)/clients, "stack-B/conn")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(a)
		})
	}
}

func inUse() (heap, stacks int64) {
	runtime.GC()
	runtime.GC() // also clears the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse), int64(m.StackInuse)
}

// BenchmarkHalfHead measures the memory of a connection with half a request head: of the engine, and of net/http
// with the same requests.
func BenchmarkHalfHead(b *testing.B) {
	const clients = 2000
	for _, proto := range []string{"attached", "tls", "goroutine"} {
		b.Run(proto, func(b *testing.B) {
			a := new(audience)
			if usesEngine(proto) {
				a.engine = newEngine(b)
			}
			a.serve(b, setup{proto: proto}, func(http.ResponseWriter, *http.Request) {})
			heap, stacks := inUse()
			for range clients {
				fd := a.open(b, "GET /stream HTTP/1.1\r\nHost: tide")
				defer func() { _ = unix.Close(fd) }()
			}
			time.Sleep(time.Second) // until the servers have read all
			heapThen, stacksThen := inUse()
			for b.Loop() {
			}
			b.ReportMetric(float64(heapThen-heap)/clients, "heap-B/conn")
			b.ReportMetric(float64(stacksThen-stacks)/clients, "stack-B/conn")
			b.ReportMetric(0, "ns/op")
		})
	}
}
