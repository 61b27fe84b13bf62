package engine

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of a connection. Sockets are non-blocking, so the calls use RawSyscall, which does not
// notify the Go scheduler. The notification takes a tenth of the time of a call. Package unix always
// notifies the scheduler, and its accept4 makes another system call for the protocol of the socket.

// accept accepts a connection of a listening socket.
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

// socketName returns an address of a socket, by getsockname or getpeername.
func socketName(call uintptr, fd int32) (netip.AddrPort, error) {
	var raw [unix.SizeofSockaddrInet6]byte
	size := uint32(len(raw))
	if _, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&size))); errno != 0 { //nolint:gosec // G103: see above
		return netip.AddrPort{}, errno
	}
	return address(raw), nil
}

// address converts a sockaddr_in or sockaddr_in6, without its zone.
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

// read reads the available bytes. It returns EAGAIN if there are none.
func read(fd int32, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // G103: see above
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// send writes as many bytes as the socket accepts without blocking.
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

// epollCtl changes the registration of a descriptor with epoll.
func epollCtl(epoll, op int, fd int32, ev *unix.EpollEvent) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0); errno != 0 { //nolint:gosec // G103: see above
		return errno
	}
	return nil
}

// closeSocket closes a socket. The kernel still sends the buffered bytes.
func closeSocket(fd int32) {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}
