package engine

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/tidemark/tidemark/internal/netaddr"
)

// SocketOptions configures the limits of a [Sockets]. The zero value has no limits.
type SocketOptions struct {
	// Max is the maximum number of open sockets; zero means no limit.
	Max int
	// MaxPerAddress is the maximum number of sockets of one IPv4 address, or of one IPv6 /64; zero means
	// no limit.
	MaxPerAddress int
	// Exempt reports whether an address is exempt from MaxPerAddress, for example the address of a proxy
	// with many clients; nil exempts none.
	Exempt func(netip.Addr) bool
	// Name is the name of Max in log messages; limits.sockets if empty. The name of MaxPerAddress has the
	// suffix _per_address.
	Name string
	// Logger receives at most one message in ten seconds about closed and rejected sockets; nil discards.
	Logger *slog.Logger
}

// Sockets counts the open sockets of a program's listeners and limits them when they are accepted.
//
// If a new socket exceeds a limit, the socket that has been idle longest is closed. If the limit is that of
// an address, only sockets of that address are considered. If no socket is idle, the new socket is closed
// without a response. A socket is idle while it is kept alive between requests ([http.StateIdle]). A socket
// before its first request is not idle: HeadTimeout and ReadHeaderTimeout limit that time.
//
// Use one Sockets for the listeners of Engine.Attach (ListenerOptions.Sockets) and for those of Listen, whose
// [http.Server] needs ConnState as its hook. A nil Sockets has no limits. Sockets is safe for
// concurrent use.
type Sockets struct {
	opts SocketOptions

	mu     sync.Mutex
	shared *socketOwner // of all sockets without a limit per address
	owners map[netip.Prefix]*socketOwner
	open   int
	idle   idleList
	counts SocketStatus // without Open and Idle
	log    socketLog
}

// SocketStatus contains the counts of a Sockets.
type SocketStatus struct {
	Open, Idle                 int    // now
	Accepted                   uint64 // without those closed when they were accepted
	Refused, RefusedPerAddress uint64 // closed when they were accepted, by the exceeded limit
	IdleClosed                 uint64 // idle sockets closed in favour of new ones
}

// socketOwner counts the sockets of one address. It is removed with its last socket.
type socketOwner struct {
	sockets *Sockets
	prefix  netip.Prefix // invalid for the shared owner
	open    int
	idle    idleList
}

// NewSockets returns a Sockets without open sockets.
func NewSockets(opts SocketOptions) *Sockets {
	opts.Name = cmp.Or(opts.Name, "limits.sockets")
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sockets{opts: opts, owners: map[netip.Prefix]*socketOwner{}, idle: idleList{links: allIdle}}
	s.shared = &socketOwner{sockets: s, idle: idleList{links: ownerIdle}}
	return s
}

// Options returns the options passed to NewSockets.
func (s *Sockets) Options() SocketOptions { return s.opts }

// Status returns the current counts.
func (s *Sockets) Status() SocketStatus {
	if s == nil {
		return SocketStatus{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.counts
	status.Open, status.Idle = s.open, s.idle.len
	return status
}

// acquire counts a new socket of an address. If a limit is reached, it closes an idle socket. It returns
// nil, false if the new socket must be closed. The caller releases the owner once.
func (s *Sockets) acquire(addr netip.Addr) (owner *socketOwner, ok bool) {
	if s == nil {
		return nil, true
	}
	owner, evicted, line := s.admit(addr)
	if evicted != nil {
		evicted.closer.closeEvicted() // its owner is already released
	}
	line.write(s.opts.Logger)
	return owner, owner != nil
}

func (s *Sockets) admit(addr netip.Addr) (owner *socketOwner, evicted *countedSocket, line socketLine) {
	limited := s.opts.MaxPerAddress > 0 && addr.IsValid() && !s.exempts(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	owner = s.shared
	if limited {
		owner = s.ownerLocked(netaddr.LimitPrefix(addr))
	}
	perAddress := limited && owner.open >= s.opts.MaxPerAddress
	if perAddress || s.opts.Max > 0 && s.open >= s.opts.Max {
		from := &s.idle
		if perAddress {
			from = &owner.idle
		}
		if evicted = s.evictLocked(from); evicted == nil {
			return nil, nil, s.refuseLocked(owner, perAddress)
		}
		line = s.log.noteLocked(s.lineLocked(owner, perAddress), time.Now())
		if owner.open == 0 && limited { // the evicted socket was the owner's last
			owner = s.ownerLocked(owner.prefix)
		}
	}
	owner.open++
	s.open++
	s.counts.Accepted++
	return owner, evicted, line
}

// exempts reports whether an address is exempt from limits per address.
func (s *Sockets) exempts(addr netip.Addr) bool {
	return s != nil && s.opts.Exempt != nil && s.opts.Exempt(addr)
}

// ownerLocked returns the owner of a prefix, which exists while it has sockets.
func (s *Sockets) ownerLocked(prefix netip.Prefix) *socketOwner {
	owner := s.owners[prefix]
	if owner == nil {
		owner = &socketOwner{sockets: s, prefix: prefix, idle: idleList{links: ownerIdle}}
		s.owners[prefix] = owner
	}
	return owner
}

// refuseLocked counts a rejected socket. It removes the owner if that has no sockets.
func (s *Sockets) refuseLocked(owner *socketOwner, perAddress bool) socketLine {
	if perAddress {
		s.counts.RefusedPerAddress++
	} else {
		s.counts.Refused++
	}
	line := s.lineLocked(owner, perAddress)
	s.removeLocked(owner)
	return s.log.noteLocked(line, time.Now())
}

// evictLocked releases the socket that has been idle longest, and returns it, or nil if none is idle.
func (s *Sockets) evictLocked(from *idleList) *countedSocket {
	c := from.first
	if c == nil {
		return nil
	}
	s.counts.IdleClosed++
	c.releaseLocked()
	return c
}

// closeIdle closes the socket that has been idle longest, because the process has no free descriptor. It
// returns false if no socket is idle.
func (s *Sockets) closeIdle() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	c := s.evictLocked(&s.idle)
	s.mu.Unlock()
	if c != nil {
		c.closer.closeEvicted()
	}
	return c != nil
}

// release decrements the counts. It is called once for each successful acquire.
func (o *socketOwner) release() {
	if o == nil {
		return
	}
	o.sockets.mu.Lock()
	defer o.sockets.mu.Unlock()
	o.releaseLocked()
}

func (o *socketOwner) releaseLocked() {
	o.sockets.open--
	o.open--
	o.sockets.removeLocked(o)
}

// removeLocked removes an owner without sockets.
func (s *Sockets) removeLocked(o *socketOwner) {
	if o.open == 0 && o != s.shared {
		delete(s.owners, o.prefix)
	}
}

// Listen returns a listener with counted and limited sockets, for an [http.Server]. sendBuffer is the size
// of the kernel's send buffer of a socket, in bytes; zero means the system's default.
func (s *Sockets) Listen(l net.Listener, sendBuffer int) net.Listener {
	return &socketListener{l, s, sendBuffer}
}

type socketListener struct {
	net.Listener
	sockets    *Sockets
	sendBuffer int
}

// Accept implements net.Listener.
func (l *socketListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if noDescriptors(err) {
				l.sockets.closeIdle()
			}
			return nil, err // http.Server retries
		}
		if tcp, ok := c.(*net.TCPConn); ok && l.sendBuffer > 0 {
			_ = tcp.SetWriteBuffer(l.sendBuffer) // an error only means more memory for slow clients
		}
		if owner, ok := l.sockets.acquire(addrOf(c)); ok {
			return newHTTPConn(c, owner), nil
		}
		_ = c.Close()
	}
}

// noDescriptors reports whether an accept failed because the process or the machine has too many open
// files.
func noDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// addrOf returns the peer's address. It is invalid if the peer has none.
func addrOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}
