package auth

import (
	"cmp"
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// Revocations remembers what was revoked, for as long as a token may last, in bounded memory. The
// zero value is empty and ready. Safe for concurrent use.
type Revocations struct {
	// Keep is how long a revocation is remembered; 24 h when zero. A token that lasts longer
	// comes back to life then.
	Keep time.Duration
	// MaxBytes bounds the memory, at some 250 bytes for a revocation; 32 MiB when zero. Beyond it
	// the oldest revocations are forgotten before their time, which Status counts.
	MaxBytes int
	// Leeway is how far the clock of an issuer of tokens may be ahead; see JWTOptions.Leeway. It is set
	// before the first use.
	Leeway time.Duration

	lead atomic.Int64 // the furthest that a token's iat was ahead of this clock

	mu      sync.RWMutex
	since   map[Revocation]*list.Element
	order   list.List // of revoked, the oldest first
	bytes   int
	dropped uint64
}

type revoked struct {
	revocation Revocation
	at         time.Time
}

// RevocationStatus is what a Revocations remembers.
type RevocationStatus struct {
	Remembered int
	Dropped    uint64 // forgotten before their time, because of MaxBytes
}

// Status returns the counts of this moment.
func (r *Revocations) Status() RevocationStatus {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return RevocationStatus{Remembered: len(r.since), Dropped: r.dropped}
}

// observe notes how far the issuer of a token is ahead of this clock.
func (r *Revocations) observe(issued time.Time) {
	if issued.IsZero() {
		return
	}
	lead := int64(time.Until(issued))
	for known := r.lead.Load(); lead > known; known = r.lead.Load() {
		if r.lead.CompareAndSwap(known, lead) {
			return
		}
	}
}

// issuedLater reports whether a token was issued after a revocation. Its issuer's clock may be ahead by
// up to Leeway, so that a token with a later iat may be older than the revocation. To refuse all those
// would refuse each login within the leeway after a revocation, also where clocks agree. So a token is
// refused whose iat is still ahead, and where tokens were ahead before, what that allows for.
func (r *Revocations) issuedLater(issued, at time.Time) bool {
	if issued.IsZero() {
		return false
	}
	until := at
	if lead := time.Duration(r.lead.Load()); lead > 0 {
		until = at.Add(min(lead+time.Second, r.Leeway)) // iat counts in whole seconds
	}
	if time.Until(issued) > 0 {
		until = at.Add(r.Leeway)
	}
	return issued.After(until)
}

// Add remembers a revocation, and forgets those that are older than Keep. One that is remembered
// with a later time is left as it is, so that a list may be read again. It returns how many were
// dropped before their time, because of MaxBytes.
func (r *Revocations) Add(rev Revocation, at time.Time) (dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since == nil {
		r.since = map[Revocation]*list.Element{}
	}
	if known := r.since[rev]; known != nil {
		if known.Value.(revoked).at.After(at) {
			return 0
		}
		r.removeLocked(known)
	}
	r.since[rev] = r.order.PushBack(revoked{rev, at})
	r.bytes += cost(rev)
	return r.forgetLocked(at)
}

func (r *Revocations) forgetLocked(now time.Time) (dropped int) {
	keep, most := cmp.Or(r.Keep, 24*time.Hour), cmp.Or(r.MaxBytes, 32<<20)
	for e := r.order.Front(); e != nil; e = r.order.Front() {
		switch {
		case now.Sub(e.Value.(revoked).at) > keep:
		case r.bytes > most && r.order.Len() > 1:
			dropped++
			r.dropped++
		default:
			return dropped
		}
		r.removeLocked(e)
	}
	return dropped
}

func (r *Revocations) removeLocked(e *list.Element) {
	rev := r.order.Remove(e).(revoked).revocation
	delete(r.since, rev)
	r.bytes -= cost(rev)
}

// cost is about the memory of a revocation: its strings, its places in the map and in the list.
func cost(rev Revocation) int { return 240 + len(rev.User) + len(rev.Token) }

// atLocked returns when a revocation was made; false where it is not remembered.
func (r *Revocations) atLocked(rev Revocation) (at time.Time, found bool) {
	e := r.since[rev]
	if e == nil {
		return at, false
	}
	return e.Value.(revoked).at, true
}
