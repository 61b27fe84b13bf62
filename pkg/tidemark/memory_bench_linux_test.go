package tidemark_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/tidemark"
)

// BenchmarkIdleConnection reports the memory of an idle connection in heap and stacks, by the way it is
// served. The clients are bare descriptors, which cost the process nothing.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 2000
	for name, serve := range ways {
		b.Run(name, func(b *testing.B) {
			n := startNATS(b)
			f := n.open(b, newsOptions())
			mux := http.NewServeMux()
			mux.Handle("/events", f)
			addr := strings.TrimPrefix(serve(b, f, mux), "http://")
			for b.Loop() {
				before, goroutines := occupied(), runtime.NumGoroutine()
				fds := openIdle(b, f, addr, connections)
				b.ReportMetric(float64(occupied()-before)/connections, "B/conn")
				b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/connections, "goroutines/conn")
				for _, fd := range fds {
					_ = unix.Close(fd)
				}
				testkit.Eventually(b, waitTimeout, "all connections end", func() bool { return f.Status().Connections == 0 })
			}
		})
	}
}

// occupied returns the bytes of heap and stacks that are in use after a collection.
func occupied() int64 {
	runtime.GC()
	runtime.GC() // also what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// openIdle returns descriptors of connections that have received tidemark.open.
func openIdle(b *testing.B, f *tidemark.Feed, addr string, n int) []int {
	fds := make([]int, n)
	buf := make([]byte, 4096)
	for i := range fds {
		fds[i] = dialBare(b, addr)
		request := fmt.Sprintf("GET /events HTTP/1.1\r\nHost: localhost\r\nX-User: %d\r\n\r\n", i)
		if _, err := unix.Write(fds[i], []byte(request)); err != nil {
			b.Fatal(err)
		}
		for received := 0; !bytes.Contains(buf[:received], []byte("event: tidemark.open")); {
			got, err := unix.Read(fds[i], buf[received:])
			if err != nil || got == 0 {
				b.Fatalf("read %d bytes, %v: %s", received, err, buf[:received])
			}
			received += got
		}
	}
	if open := f.Status().Connections; open != n {
		b.Fatalf("%d connections are open", open)
	}
	return fds
}

// dialBare connects and leaves nothing of package net behind.
func dialBare(b *testing.B, addr string) int {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	var fd int
	_ = raw.Control(func(socket uintptr) {
		if fd, err = unix.FcntlInt(socket, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			err = unix.SetNonblock(fd, false)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	return fd
}
