package feedhttp

import (
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/netaddr"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Limits bound what a node takes. Zero is no bound.
//
// An address is the client's IPv4 address, or the /64 of its IPv6 one, as the trusted proxies
// tell it. Behind a proxy that is not trusted all clients have the proxy's.
type Limits struct {
	Connections    int // of all clients together
	PerUser    int // of one user; those without a name are not counted
	PerAddress int // of one address, except a trusted proxy that names no client
	// Replays bounds the streams that are behind and need the log to catch up. Only arrivals
	// are sent away; a stream that falls behind later is not.
	Replays int
	// LastSubjects bounds the subjects of one start at the latest event of each (?from=last).
	// Beyond it the answer is 400.
	LastSubjects int
	// LastWaiting bounds the connections that wait for such a start over more than
	// feed.FewSubjects subjects; LastWaitingPerUser and LastWaitingPerAddress those of one user,
	// and of one address. The store makes few such starts at once.
	LastWaiting, LastWaitingPerUser, LastWaitingPerAddress int
	// ConnectsPerSecond is how often one address may ask for a stream in the long run, and
	// ConnectsBurst how often at once after a pause; at least once. What is asked for counts,
	// whether it is granted or not.
	ConnectsPerSecond, ConnectsBurst int
	// PublishesPerSecond and PublishesBurst are the same for events that are published. A
	// request counts as one event before its body is read. A batch larger than the burst
	// takes the whole of it.
	PublishesPerSecond, PublishesBurst int
}

// Admission holds the limits of a node, over all handlers that share it. Who would exceed one
// and wants a stream is answered with 200 and told when to come back: another status would be
// final for an EventSource. Who publishes is answered with 429.
//
// Rates cost some 300 bytes for each of the 65,536 addresses that came last.
type Admission struct {
	limits   Limits
	trusted  []netip.Prefix
	connects *limiter
	events   *limiter
	refused  refused
	serial   atomic.Uint64 // of streams

	mu        sync.Mutex
	all       int
	users     map[string]int
	addresses map[netip.Prefix]int

	replays atomic.Int64
	lasts   lastStarts
}

// NewAdmission returns one that counts from zero. The trusted proxies are believed what they
// say of a client's address (auth.ClientAddr); without any the peer is the client.
func NewAdmission(limits Limits, trusted ...netip.Prefix) *Admission {
	return &Admission{
		limits: limits, trusted: slices.Clone(trusted),
		connects: newLimiter(limits.ConnectsPerSecond, limits.ConnectsBurst),
		events:   newLimiter(limits.PublishesPerSecond, limits.PublishesBurst),
		users:    map[string]int{}, addresses: map[netip.Prefix]int{},
		lasts: lastStarts{users: map[string]int{}, addresses: map[netip.Prefix]int{}},
	}
}

// Limits are what NewAdmission was given.
func (a *Admission) Limits() Limits { return a.limits }

// Counts are the streams there are now, and those of them that catch up from the log.
func (a *Admission) Counts() (streams, replays int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all, int(a.replays.Load())
}

// connect counts a request for a stream. The error is errRate.
func (a *Admission) connect(r *http.Request) error {
	if a == nil || a.connects == nil || a.connects.take(addressOf(r, a.trusted), 1, time.Now()) == 0 {
		return nil
	}
	a.refused[RefusedConnectRate].Add(1)
	return errRate
}

// publish counts n events that a request brings. The error is a *rateError.
func (a *Admission) publish(r *http.Request, n int) error {
	if a == nil {
		return nil
	}
	wait := a.events.take(addressOf(r, a.trusted), n, time.Now())
	if wait == 0 {
		return nil
	}
	a.refused[RefusedPublishRate].Add(1)
	return &rateError{perSecond: a.limits.PublishesPerSecond, wait: wait}
}

// admit counts a stream, and returns what its end must call, also with an error.
func (a *Admission) admit(user string, r *http.Request) (release func(), err error) {
	if a == nil {
		return func() {}, nil
	}
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
// trusted proxy that names no client stands for many.
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

// replay counts a stream that needs the log, or with -1 no longer does. It reports whether
// there was room for it.
func (a *Admission) replay(by int64) bool {
	if a == nil {
		return true
	}
	n := a.replays.Add(by)
	if a.limits.Replays == 0 || n <= int64(a.limits.Replays) {
		return true
	}
	if by > 0 {
		a.refused[RefusedReplays].Add(1)
	}
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

// count keeps no zeros, so that a map is as large as what it counts.
func count[K comparable](m map[K]int, key K, by int) {
	if m[key] += by; m[key] == 0 {
		delete(m, key)
	}
}
