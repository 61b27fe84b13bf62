//go:build !linux

package transports

import (
	"net"
	"syscall"
)

// countSegments returns no count: x/sys reads the counters of no other system.
func countSegments(*net.TCPConn) (n int64, counted bool, err error) { return 0, false, nil }

// setEthernetMSS does nothing: it matters only to packets.
func setEthernetMSS(_, _ string, _ syscall.RawConn) error { return nil }
