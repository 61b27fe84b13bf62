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

// limiter holds a token bucket for each address. A bucket that is full again is like a new one, and is
// dropped. Beyond maxAddresses the least recently used bucket is dropped: limits for each address do
// not stop a client with that many addresses, and rejecting new addresses would let it lock out all
// other clients.
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

// reserve takes n tokens from a bucket, or takes none and returns the wait until it has n. It takes a full bucket for a larger n,
// which would otherwise never be available.
func (l *limiter) reserve(of netip.Prefix, n int, now time.Time) (wait time.Duration) {
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

// makeRoomLocked drops buckets that are full again, at most two for each new one, so that buckets of past
// clients need no goroutine that removes them.
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

// addressOf returns the address that limits count by: the client's IPv4 address, or the /64 of an IPv6 address,
// since providers assign a /64 to each subscriber. It is not valid on a Unix socket, where all clients
// count as one.
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
