package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tidemark/tidemark/internal/server"
)

// BenchmarkConnect opens connections as users do that all reconnect, and closes them. An operation is one
// connection. Its bytes and allocations are the server's alone, as the clients are system calls. Its time is of
// both sides.
func BenchmarkConnect(b *testing.B) {
	const crowd = 64
	url, _ := startNATS(b, "127.0.0.1:0", b.TempDir())
	addr := benchNode(b, url)
	clients := make([]rawClient, crowd)
	for i := range clients {
		clients[i].request = fmt.Appendf(nil, "GET /events?user=%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n\r\n", i, addr)
	}
	var before, after runtime.MemStats
	b.ReportAllocs()
	buf, n := make([]byte, 4<<10), 0
	runtime.ReadMemStats(&before)
	for b.Loop() {
		c := &clients[n%crowd]
		c.connect(b, addr)
		if n++; n%crowd == 0 {
			finish(b, clients, buf)
		}
	}
	finish(b, clients[:n%crowd], buf)
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.NumGC-before.NumGC)/float64(n)*1e6, "GCs/M")
}

// benchNode runs a node until the benchmark ends.
func benchNode(b *testing.B, url string) netip.AddrPort {
	srv, err := server.New(b.Context(), options(b, url))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("Run: %v", err)
		}
	})
	return netip.MustParseAddrPort(srv.Addr().String())
}

func finish(b *testing.B, clients []rawClient, buf []byte) {
	for i := range clients {
		clients[i].awaitOpen(b, buf)
	}
}

// rawClient is a client that costs no memory.
type rawClient struct {
	request []byte
	fd      int
}

func (c *rawClient) connect(b *testing.B, to netip.AddrPort) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	}
	if err == nil {
		_, err = unix.Write(fd, c.request)
	}
	if err != nil {
		b.Fatal(err)
	}
	c.fd = fd
}

// awaitOpen reads up to tidemark.open, and disconnects.
func (c *rawClient) awaitOpen(b *testing.B, buf []byte) {
	for got := 0; !bytes.Contains(buf[:got], []byte("tidemark.open")); {
		n, err := unix.Read(c.fd, buf[got:])
		if err != nil || n == 0 {
			b.Fatalf("%v after %q", err, buf[:got])
		}
		got += n
	}
	_ = unix.Close(c.fd)
}
