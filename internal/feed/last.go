package feed

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FewSubjects is a number of subjects with a low cost for `last`. Up to it the start costs the store as
// little as any other replay, about 1 ms. The cost rises with the number of subjects;
// 100,000 take JetStream 100 ms, during which the stream accepts no event.
const FewSubjects = 1000

// TooManySubjectsError refuses a start at the latest event of each subject.
type TooManySubjectsError struct {
	Subjects int // that match, at least
	Limit    int // SubscribeOptions.MaxLastSubjects
}

func (e *TooManySubjectsError) Error() string {
	return fmt.Sprintf("the latest event of each of %d subjects or more was requested; the limit is %d", e.Subjects, e.Limit)
}

// LastSubjects returns how many subjects a start at the latest event of each (`last`) reads; more
// where filters overlap.
//
//   - It blocks until the store has answered or ctx ends. Filters without wildcards need no answer.
//   - It fails with a [TooManySubjectsError] beyond limit subjects; 0 disables the limit.
//   - An answer is used again for a few seconds: counting costs the store half as much as the start.
func (f *Feed) LastSubjects(ctx context.Context, filters []string, limit int) (int, error) {
	n := len(filters)
	if newFilterSet(filters).wildcard {
		var err error
		n, err = f.lastSubjects.get(ctx, strconv.Itoa(limit)+" "+strings.Join(filters, " "), func() (int, error) {
			return f.store.CountSubjects(ctx, filters, limit)
		})
		if err != nil {
			return 0, err
		}
	}
	if limit > 0 && n > limit {
		return 0, &TooManySubjectsError{Subjects: n, Limit: limit}
	}
	return n, nil
}

const (
	countFor  = 5 * time.Second // how long a count is used again
	maxCounts = 1024            // of different filters, some 300 bytes each
)

// subjectCounts remembers counts by their filters. The zero value is ready to use.
type subjectCounts struct {
	mu     sync.Mutex
	counts map[string]*subjectCount
}

// subjectCount is one count. The fields are written before done is closed.
type subjectCount struct {
	done chan struct{}
	n    int
	err  error
	at   time.Time
}

// get returns a recent count, or waits for count, which one caller at a time runs for the same key.
func (c *subjectCounts) get(ctx context.Context, key string, count func() (int, error)) (int, error) {
	for {
		entry, own := c.entry(key)
		if own {
			entry.n, entry.err = count()
			c.finish(key, entry)
			return entry.n, entry.err
		}
		if !entry.counted() {
			select {
			case <-entry.done:
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		if entry.err == nil {
			return entry.n, nil
		}
		// It failed for another caller, whose context may have ended: try with this one.
	}
}

// entry returns the count for a key, and whether the caller must provide it.
func (c *subjectCounts) entry(key string) (entry *subjectCount, own bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry := c.counts[key]; entry != nil && !entry.expired(time.Now()) {
		return entry, false
	}
	if c.counts == nil || len(c.counts) >= maxCounts {
		c.counts = map[string]*subjectCount{}
	}
	entry = &subjectCount{done: make(chan struct{})}
	c.counts[key] = entry
	return entry, true
}

// counted reports that done is closed.
func (c *subjectCount) counted() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *subjectCount) expired(now time.Time) bool { return c.counted() && now.Sub(c.at) > countFor }

// finish keeps a count, or drops a failed count.
func (c *subjectCounts) finish(key string, entry *subjectCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry.at = time.Now()
	if entry.err != nil && c.counts[key] == entry {
		delete(c.counts, key)
	}
	close(entry.done)
}
