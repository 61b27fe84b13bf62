//go:build unix

package engine_test

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// smallPeer dials with a small buffer and the segment size of a real network. The segments of the loopback
// interface are so large that a small buffer waits for timers.
func smallPeer() *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10)
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400)
		})
	}}
}
