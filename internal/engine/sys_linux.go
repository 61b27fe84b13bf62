package engine

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of a connection. None of them waits, as sockets are not blocking, so the Go
// runtime is not told of them: it would look for other work for the processor each time, which
// costs a tenth of the call. Package unix has none that it is not told of, and its accept4 asks
// the socket for its protocol, too, which is a system call more.

// accept takes a connection from a listening socket.
func accept(listener int) (fd int32, from netip.AddrPort, err unix.Errno) {
	var raw [unix.SizeofSockaddrInet6]byte
	size := uint32(len(raw))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&size)), //nolint:gosec // G103: see above
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int32(n), address(raw), 0
}

// localAddress is this machine's end of a connection.
func localAddress(fd int32) (netip.AddrPort, error) {
	var raw [unix.SizeofSockaddrInet6]byte
	size := uint32(len(raw))
	if _, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&size))); errno != 0 { //nolint:gosec // G103: see above
		return netip.AddrPort{}, errno
	}
	return address(raw), nil
}

// address reads a sockaddr_in or sockaddr_in6, without its zone.
func address(raw [unix.SizeofSockaddrInet6]byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(raw[2:])
	switch binary.NativeEndian.Uint16(raw[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), port)
	}
	return netip.AddrPort{}
}

// read takes what has come. EAGAIN says that nothing has.
func read(fd int32, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // G103: see above
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// send writes what the socket takes now.
func send(fd int32, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), //nolint:gosec // G103: see above
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// epollCtl asks an epoll for words about a descriptor.
func epollCtl(epoll, op int, fd int32, ev *unix.EpollEvent) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0); errno != 0 { //nolint:gosec // G103: see above
		return errno
	}
	return nil
}

// closeSocket ends a connection. What is unsent is the kernel's to send.
func closeSocket(fd int32) {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}
