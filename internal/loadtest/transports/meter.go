package transports

import (
	"fmt"
	"net"
	"sync/atomic"
)

// meter counts the bytes that an end of a connection reads and writes.
type meter struct{ in, out atomic.Int64 }

func (m *meter) String() string {
	return fmt.Sprintf("%d bytes in and %d out", m.in.Load(), m.out.Load())
}

type meteredConn struct {
	net.Conn
	meter *meter
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.in.Add(int64(n))
	return n, err
}

func (c *meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.out.Add(int64(n))
	return n, err
}

type meteredListener struct {
	net.Listener
	meter *meter
}

func (l *meteredListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &meteredConn{conn, l.meter}, nil
}
