package auth

import (
	"cmp"
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// Revocations stores revocations in bounded memory. The zero value is empty and ready to use.
// It is safe for concurrent use.
type Revocations struct {
	// Keep is the time for which a revocation is stored; 24 h if zero. A token with a longer lifetime is
	// accepted again after that time.
	Keep time.Duration
	// MaxBytes limits the memory, at about 250 bytes per revocation; 32 MiB if zero. Above the limit the
	// oldest revocations are removed before Keep. Status counts them.
	MaxBytes int
	// Leeway is the largest accepted lead of an issuer's clock; see JWTOptions.Leeway. Set it before the
	// first use.
	Leeway time.Duration

	lead atomic.Int64 // the largest lead of a token's iat over this clock

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

// RevocationStatus contains the counts of a Revocations.
type RevocationStatus struct {
	Remembered int    // stored now
	Dropped    uint64 // removed early, because of MaxBytes
}

// Status returns the current counts.
func (r *Revocations) Status() RevocationStatus {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return RevocationStatus{Remembered: len(r.since), Dropped: r.dropped}
}

// observe records the lead of an issuer's clock over this clock.
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

// issuedLater reports whether a token was issued after a revocation.
//
// The issuer's clock may be ahead by up to Leeway, so a token with a later iat may be older than the
// revocation. Rejecting all tokens within the leeway would also reject new logins if the clocks agree.
// The function therefore assumes the largest lead observed so far, and the full leeway only for a token
// whose iat is still in the future.
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

// Add stores a revocation, and removes revocations older than Keep. It returns the number of revocations
// removed early, because of MaxBytes.
//
// If the same revocation is stored with a later time, Add does not change it, so that a list can be read
// again.
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

// cost estimates the memory of a revocation: its strings and its entries in the map and the list.
func cost(rev Revocation) int { return 240 + len(rev.User) + len(rev.Token) }

// atLocked returns the time of a stored revocation.
func (r *Revocations) atLocked(rev Revocation) (at time.Time, found bool) {
	e := r.since[rev]
	if e == nil {
		return at, false
	}
	return e.Value.(revoked).at, true
}
