package feedhttp

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/netaddr"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Limits bound the connections and requests of a node. Zero is unlimited.
//
// An address is the client's IPv4 address, or the /64 of its IPv6 address, as trusted proxies
// report it. All clients behind a proxy that is not trusted have the address of the proxy.
type Limits struct {
	Connections int // of all clients together
	PerUser     int // of one user; connections without a user are not counted
	PerAddress  int // of one address, except a trusted proxy that names no client
	// Replays bounds the connections that read from the store to catch up. Only new connections
	// are rejected, not those that fall behind later.
	Replays int
	// LastSubjects bounds the subjects of one start at the latest event of each (?from=last).
	// Beyond it the answer is 400.
	LastSubjects int
	// LastWaiting bounds the connections that wait for such a start over more than
	// feed.FewSubjects subjects; LastWaitingPerUser and LastWaitingPerAddress those of one user,
	// and of one address. The store makes few such starts at once.
	LastWaiting, LastWaitingPerUser, LastWaitingPerAddress int
	// ConnectsPerSecond is the sustained rate of connects of one address, and ConnectsBurst how
	// many it may send at once after a pause; at least one. Rejected connects count, too.
	ConnectsPerSecond, ConnectsBurst int
	// PublishesPerSecond and PublishesBurst are the same for events that are published. A
	// request counts as one event before its body is read. A batch larger than the burst
	// takes the whole of it.
	PublishesPerSecond, PublishesBurst int
}

// Admission holds the limits of a node. Handlers may share it. A connect beyond a limit is answered
// with 200 and a tidemark.close with the delay before a reconnect: another status would
// be final for an EventSource. A publish request is answered with 429.
//
// Rates cost some 300 bytes for each of the 65,536 addresses that were used last.
type Admission struct {
	limits   Limits
	trusted  []netip.Prefix
	connects *limiter
	events   *limiter
	refused  refused
	ingests  ingests
	serial   atomic.Uint64 // of connections

	mu        sync.Mutex
	all       int
	users     map[string]int
	addresses map[netip.Prefix]int

	replays atomic.Int64
	last    lastStarts
}

// NewAdmission returns an Admission without connections. The addresses of clients are those that the
// trusted proxies report ([auth.ClientAddr]); without trusted proxies the peer is the client.
func NewAdmission(limits Limits, trusted ...netip.Prefix) *Admission {
	stopping, stop := context.WithCancel(context.Background())
	return &Admission{
		ingests: ingests{stopping: stopping, stop: stop},
		limits:  limits, trusted: slices.Clone(trusted),
		connects: newLimiter(limits.ConnectsPerSecond, limits.ConnectsBurst),
		events:   newLimiter(limits.PublishesPerSecond, limits.PublishesBurst),
		users:    map[string]int{}, addresses: map[netip.Prefix]int{},
		last: lastStarts{users: map[string]int{}, addresses: map[netip.Prefix]int{}},
	}
}

// Limits returns the limits.
func (a *Admission) Limits() Limits { return a.limits }

// Counts returns the open connections, and the connections among them with a replay.
func (a *Admission) Counts() (connections, replays int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all, int(a.replays.Load())
}

// admitConnect counts a subscribe request. The error is errRate.
func (a *Admission) admitConnect(r *http.Request) error {
	if a.connects == nil || a.connects.reserve(addressOf(r, a.trusted), 1, time.Now()) == 0 {
		return nil
	}
	a.refused[RefusedConnectRate].Add(1)
	return errRate
}

// admitPublish counts n events of a publish request. The error is a *rateError.
func (a *Admission) admitPublish(r *http.Request, n int) error {
	if a.events == nil {
		return nil
	}
	wait := a.events.reserve(addressOf(r, a.trusted), n, time.Now())
	if wait == 0 {
		return nil
	}
	a.refused[RefusedPublishRate].Add(1)
	return &rateError{perSecond: a.limits.PublishesPerSecond, wait: wait}
}

// awaitPublish counts an event of an event stream. It blocks while the rate is exceeded, since the event cannot be sent
// again; the client then waits, too.
func (a *Admission) awaitPublish(r *http.Request) error {
	for a.events != nil {
		wait := a.events.reserve(addressOf(r, a.trusted), 1, time.Now())
		if wait == 0 {
			return nil
		}
		if err := backoff.Pause(r.Context(), wait, nil); err != nil {
			return err
		}
	}
	return nil
}

// admit counts a connection. Its end calls release, which is never nil.
func (a *Admission) admit(user string, r *http.Request) (release func(), err error) {
	addr, counted := a.limitedAddress(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch l := a.limits; {
	case reached(l.Connections, a.all):
		a.refused[RefusedConnections].Add(1)
		return func() {}, errOverload
	case user != "" && reached(l.PerUser, a.users[user]):
		a.refused[RefusedPerUser].Add(1)
		return func() {}, errLimit
	case counted && reached(l.PerAddress, a.addresses[addr]):
		a.refused[RefusedPerAddress].Add(1)
		return func() {}, errLimit
	}
	a.countLocked(user, addr, counted, 1)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.countLocked(user, addr, counted, -1)
	}, nil
}

// limitedAddress returns the address that Limits.PerAddress counts for a request; false for none. A
// trusted proxy that names no client carries many clients.
func (a *Admission) limitedAddress(r *http.Request) (addr netip.Prefix, counted bool) {
	if a.limits.PerAddress == 0 {
		return addr, false
	}
	client := auth.ClientAddr(r, a.trusted)
	if auth.TrustsAddr(a.trusted, client) && client == auth.PeerAddr(r) {
		return addr, false
	}
	return netaddr.LimitPrefix(client), true
}

// admitReplay counts a new connection that reads from the store. It reports false, and counts a refusal,
// where Limits.Replays leaves no room.
func (a *Admission) admitReplay() bool {
	if a.replays.Add(1) <= int64(a.limits.Replays) || a.limits.Replays == 0 {
		return true
	}
	a.replays.Add(-1)
	a.refused[RefusedReplays].Add(1)
	return false
}

func reached(limit, n int) bool { return limit > 0 && n >= limit }

func (a *Admission) countLocked(user string, addr netip.Prefix, perAddress bool, by int) {
	a.all += by
	if a.limits.PerUser > 0 && user != "" {
		count(a.users, user, by)
	}
	if perAddress {
		count(a.addresses, addr, by)
	}
}

// count keeps no zeros, so that a map does not grow with the users of the past.
func count[K comparable](m map[K]int, key K, by int) {
	if m[key] += by; m[key] == 0 {
		delete(m, key)
	}
}

// remote returns the client's address, with a port if the peer is the client.
func (a *Admission) remote(r *http.Request) string {
	if len(a.trusted) == 0 {
		return r.RemoteAddr
	}
	client := auth.ClientAddr(r, a.trusted)
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !client.IsValid() || peer.Addr().Unmap() == client {
		return r.RemoteAddr
	}
	return client.String()
}
