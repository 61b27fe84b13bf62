package e2e_test

import (
	"context"
	"net"
)

// dialWithBuffer dials connections with a small receive buffer.
func dialWithBuffer(bytes int) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return conn, conn.(*net.TCPConn).SetReadBuffer(bytes)
	}
}
