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

// SocketOptions bound the sockets of listeners that share a [Sockets]. The zero value bounds
// nothing.
type SocketOptions struct {
	// Max is the most sockets at a time; no bound when zero.
	Max int
	// MaxPerAddress is the most sockets of one IPv4 address, or of one /64 of IPv6; no bound when
	// zero.
	MaxPerAddress int
	// Exempt reports whether MaxPerAddress does not apply to an address, such as that of a proxy
	// that stands for many clients; nil exempts none.
	Exempt func(netip.Addr) bool
	// Name is what log lines call Max and, with _per_address behind it, MaxPerAddress;
	// limits.sockets when empty.
	Name string
	// Logger receives at most one line in ten seconds about sockets that were closed or refused;
	// nil discards.
	Logger *slog.Logger
}

// Sockets counts the open sockets of a program's listeners and enforces limits on them where they
// are accepted.
//
// A socket that would exceed a limit takes the place of an idle one, which is closed: the one that
// has been idle longest, of the same address where the address has reached its limit. Where none is
// idle the new socket is closed without a response. A socket is idle while it is kept alive between
// requests ([http.StateIdle]); sockets that wait for their first request are not, as HeadTimeout
// and ReadHeaderTimeout bound them.
//
// Use one for the engine's listeners (Front.Sockets) and those of net/http (Listen), and set
// ConnState as the hook of each [http.Server]. A nil Sockets bounds nothing. Safe for concurrent use.
type Sockets struct {
	opts SocketOptions

	mu     sync.Mutex
	shared *socketOwner // of all sockets that no limit per address applies to
	owners map[netip.Prefix]*socketOwner
	open   int
	idle   idleList
	counts SocketStatus // but Open and Idle
	log    socketLog
}

// SocketStatus is what a Sockets has counted.
type SocketStatus struct {
	Open, Idle                 int    // now
	Refused, RefusedPerAddress uint64 // closed when they were accepted, by the limit that was reached
	IdleClosed                 uint64 // idle ones that were closed to make room for new ones
}

// socketOwner counts the sockets of one address. It is removed with its last socket.
type socketOwner struct {
	sockets *Sockets
	prefix  netip.Prefix // not valid for the shared one
	open    int
	idle    idleList
}

// NewSockets returns a Sockets without any open ones.
func NewSockets(opts SocketOptions) *Sockets {
	opts.Name = cmp.Or(opts.Name, "limits.sockets")
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sockets{opts: opts, owners: map[netip.Prefix]*socketOwner{}, idle: idleList{links: allIdle}}
	s.shared = &socketOwner{sockets: s, idle: idleList{links: ownerIdle}}
	return s
}

// Options returns what NewSockets was given.
func (s *Sockets) Options() SocketOptions { return s.opts }

// Status returns the counts of this moment.
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

// acquire counts a socket of an address, and closes an idle one for it where a limit is reached.
// It returns nil, false where the new socket must be closed. The caller releases the owner once.
func (s *Sockets) acquire(addr netip.Addr) (owner *socketOwner, ok bool) {
	if s == nil {
		return nil, true
	}
	owner, evicted, line := s.admit(addr)
	if evicted != nil {
		_ = evicted.Conn.Close() // released already
	}
	line.write(s.opts.Logger)
	return owner, owner != nil
}

func (s *Sockets) admit(addr netip.Addr) (owner *socketOwner, evicted *httpConn, line socketLine) {
	limited := s.opts.MaxPerAddress > 0 && addr.IsValid() && (s.opts.Exempt == nil || !s.opts.Exempt(addr))
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
		if owner.open == 0 && limited { // the evicted socket was its last
			owner = s.ownerLocked(owner.prefix)
		}
	}
	owner.open++
	s.open++
	return owner, evicted, line
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

// refuseLocked counts a socket that is closed. An owner without sockets goes, too.
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

// evictLocked takes the socket that has been idle longest out of the count; nil where none is.
func (s *Sockets) evictLocked(from *idleList) *httpConn {
	c := from.first
	if c == nil {
		return nil
	}
	s.counts.IdleClosed++
	c.releaseLocked()
	return c
}

// closeIdle closes the socket that has been idle longest, because the process has no descriptor
// left though no limit is reached. It returns false if no socket is idle.
func (s *Sockets) closeIdle() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	c := s.evictLocked(&s.idle)
	s.mu.Unlock()
	if c != nil {
		_ = c.Conn.Close()
	}
	return c != nil
}

// release takes a socket of the owner out of the count. It is called once for each acquire.
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

// removeLocked forgets an owner without sockets.
func (s *Sockets) removeLocked(o *socketOwner) {
	if o.open == 0 && o != s.shared {
		delete(s.owners, o.prefix)
	}
}

// Listen returns a listener whose sockets are counted and bounded, for an [http.Server]. sendBuffer
// is how many bytes the kernel may hold for one client; its own rule when zero.
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
			return nil, err // which http.Server tries again
		}
		if tcp, ok := c.(*net.TCPConn); ok && l.sendBuffer > 0 {
			_ = tcp.SetWriteBuffer(l.sendBuffer) // without it slow clients cost more, no more
		}
		if owner, ok := l.sockets.acquire(addrOf(c)); ok {
			return &httpConn{Conn: c, owner: owner}, nil
		}
		_ = c.Close()
	}
}

// noDescriptors reports whether an accept failed because the process or the machine has no more
// open files.
func noDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// addrOf returns the peer's address, which is not valid where it has none.
func addrOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}
