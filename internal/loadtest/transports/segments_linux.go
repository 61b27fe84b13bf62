package transports

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// countSegments returns the segments of a connection in both directions, which the kernel counts. One
// end has all of them: loopback loses none.
func countSegments(conn *net.TCPConn) (n int64, counted bool, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var info *unix.TCPInfo
	var failed error
	err = raw.Control(func(fd uintptr) {
		info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err != nil {
		return 0, false, err
	}
	if failed != nil {
		return 0, false, os.NewSyscallError("getsockopt TCP_INFO", failed)
	}
	n = int64(info.Segs_in) + int64(info.Segs_out)
	return n, n > 0, nil // kernels before 4.2, and sandboxes such as gVisor, leave them at 0
}

// setEthernetMSS gives a socket segments of the size of Ethernet's. Those of loopback have 64 KiB, and
// a large request would count as one packet.
func setEthernetMSS(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1460)
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt TCP_MAXSEG", failed)
}
