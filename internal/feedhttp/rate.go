package feedhttp

import (
	"container/list"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidemark/tidemark/internal/netaddr"
	"github.com/tidemark/tidemark/pkg/auth"
)

// maxAddresses bounds the addresses that a limiter remembers, at some 300 bytes each.
const maxAddresses = 1 << 16

// limiter holds a token bucket for each address. A bucket that is full again says no more
// than one that was never used, and is dropped. Beyond maxAddresses the one that was used
// least recently is forgotten all the same: who has that many addresses is not held by a
// bound for each, and to turn newcomers away instead would let him shut out everybody.
type limiter struct {
	perSecond, burst int
	most             int

	mu      sync.Mutex
	buckets map[netip.Prefix]*list.Element
	recent  *list.List // of *bucket; the least recently used is at the back
}

type bucket struct {
	of   netip.Prefix
	used time.Time
	*rate.Limiter
}

// newLimiter returns nil, which limits nothing, for a rate of zero.
func newLimiter(perSecond, burst int) *limiter {
	if perSecond <= 0 {
		return nil
	}
	return &limiter{
		perSecond: perSecond, burst: max(burst, 1), most: maxAddresses,
		buckets: map[netip.Prefix]*list.Element{}, recent: list.New(),
	}
}

// take takes n tokens, or none and says how long it lasts until there are n. More than a
// bucket holds costs a full one, as it could never be had.
func (l *limiter) take(of netip.Prefix, n int, now time.Time) (wait time.Duration) {
	if l == nil || n <= 0 {
		return 0
	}
	n = min(n, l.burst)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucketLocked(of, now)
	if b.AllowN(now, n) {
		return 0
	}
	missing := float64(n) - b.TokensAt(now)
	return max(time.Duration(missing/float64(l.perSecond)*float64(time.Second)), time.Millisecond)
}

func (l *limiter) bucketLocked(of netip.Prefix, now time.Time) *bucket {
	e := l.buckets[of]
	if e == nil {
		l.makeRoomLocked(now)
		e = l.recent.PushFront(&bucket{of: of, Limiter: rate.NewLimiter(rate.Limit(l.perSecond), l.burst)})
		l.buckets[of] = e
	}
	l.recent.MoveToFront(e)
	b := e.Value.(*bucket)
	b.used = now
	return b
}

// makeRoomLocked drops what is full again, two for each newcomer, so that a crowd that has
// left is forgotten without a goroutine that looks for it.
func (l *limiter) makeRoomLocked(now time.Time) {
	full := time.Duration(float64(l.burst) / float64(l.perSecond) * float64(time.Second))
	for range 2 {
		e := l.recent.Back()
		if e == nil {
			return
		}
		b := e.Value.(*bucket)
		if len(l.buckets) < l.most && now.Sub(b.used) < full {
			return
		}
		l.recent.Remove(e)
		delete(l.buckets, b.of)
	}
}

// addressOf is what limits count by: the client's IPv4 address, or the /64 of an IPv6 one,
// since that is what a single subscriber is given. It is not valid on a Unix socket, where
// all clients are one.
func addressOf(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	return netaddr.LimitPrefix(auth.ClientAddr(r, trusted))
}

// rateError refuses events of an address that exceeds its rate.
type rateError struct {
	perSecond int
	wait      time.Duration
}

func (e *rateError) Error() string {
	return fmt.Sprintf("this address publishes faster than %d events a second (limits.publishes_per_second); send it again in %s s", e.perSecond, e.retryAfter())
}

// retryAfter returns the wait in whole seconds, for the header Retry-After.
func (e *rateError) retryAfter() string {
	return strconv.Itoa(max(int(math.Ceil(e.wait.Seconds())), 1))
}
