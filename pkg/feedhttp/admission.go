package feedhttp

import (
	"net"
	"sync"
	"sync/atomic"
)

// Limits bound the streams of a node. Zero is no bound.
type Limits struct {
	Streams    int // of all clients together
	PerUser    int // of one user; those without a name are not counted
	PerAddress int // of one IP address, as it reaches this node: behind a proxy that is the proxy's
	// Replays bounds the streams that are behind and need the log to catch up. Only arrivals
	// are sent away; a stream that falls behind later is not.
	Replays int
}

// Admission counts the streams of a node. Who would exceed a limit is answered with 200 and
// told when to come back: another status would be final for an EventSource.
type Admission struct {
	limits Limits

	mu        sync.Mutex
	all       int
	users     map[string]int
	addresses map[string]int

	replays atomic.Int64
}

// NewAdmission returns one that counts from zero.
func NewAdmission(limits Limits) *Admission {
	return &Admission{limits: limits, users: map[string]int{}, addresses: map[string]int{}}
}

// Counts are the streams there are now, and those of them that catch up from the log.
func (a *Admission) Counts() (streams, replays int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all, int(a.replays.Load())
}

// admit counts a stream, and returns what its end must call, also with an error.
func (a *Admission) admit(user, remote string) (release func(), err error) {
	if a == nil {
		return func() {}, nil
	}
	addr, _, splitErr := net.SplitHostPort(remote)
	if splitErr != nil {
		addr = remote // a unix socket's, say
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch l := a.limits; {
	case reached(l.Streams, a.all):
		return func() {}, errOverload
	case user != "" && reached(l.PerUser, a.users[user]), reached(l.PerAddress, a.addresses[addr]):
		return func() {}, errLimit
	}
	a.countLocked(user, addr, 1)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.countLocked(user, addr, -1)
	}, nil
}

// replay counts a stream that needs the log, or with -1 no longer does. It reports whether
// there was room for it.
func (a *Admission) replay(by int64) bool {
	if a == nil {
		return true
	}
	n := a.replays.Add(by)
	return a.limits.Replays == 0 || n <= int64(a.limits.Replays)
}

func reached(limit, n int) bool { return limit > 0 && n >= limit }

func (a *Admission) countLocked(user, addr string, by int) {
	a.all += by
	if a.limits.PerUser > 0 && user != "" {
		count(a.users, user, by)
	}
	if a.limits.PerAddress > 0 {
		count(a.addresses, addr, by)
	}
}

// count keeps no zeros, so that a map is as large as what it counts.
func count(m map[string]int, key string, by int) {
	if m[key] += by; m[key] == 0 {
		delete(m, key)
	}
}
