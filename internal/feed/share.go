package feed

import "context"

// The batches of a replay begin small, so that many clients that do not read cost little, and double
// while the client takes them.
const (
	firstBatch = 128 << 10
	maxBatch   = 1 << 20
)

// provenBatches is how many batches a client must have taken before more is requested at a time and
// ahead. The kernel takes about two for a client that reads nothing.
const provenBatches = 3

// batchSlack is the size of an event in the stream that a frame does not have: the reply subject, and
// headers.
const batchSlack = 1 << 10

// share is the part of the budget that one replay has. Like its replay it has one owner at a time.
//
// A replay waits for bytes only when it has none: the events that it has read were sent before. So replays do not
// wait for each other.
type share struct {
	budget    *ReplayBudget
	requested int // of the request under way
	unsent    int // of events that were read and may not be sent yet

	next    int // bytes of the next request, if they are free; 0 for firstBatch
	least   int // room for the largest event so far
	alone   int // room for the next event, which the last request was too small for; mostly 0
	drained int // batches that the client has taken
}

// reserve acquires the bytes of the next request, unless one is under way. It blocks until there are
// enough for a small one.
func (s *share) reserve(ctx context.Context) error {
	if s.requested > 0 {
		return nil
	}
	least := max(firstBatch, s.least, s.alone)
	if s.tryGrow(least) {
		return nil
	}
	n, err := s.budget.acquire(ctx, least)
	s.requested = n
	return err
}

// reserveAhead acquires bytes for a request before the last batch was sent. It does not wait, and
// does nothing for a client that has yet to take its first batches.
func (s *share) reserveAhead() bool {
	least := max(firstBatch, s.least)
	return s.drained >= provenBatches && s.requested == 0 && (s.tryGrow(least) || s.try(least))
}

func (s *share) tryGrow(least int) bool {
	for n := s.next; n > least; n /= 2 {
		if s.try(n) {
			return true
		}
	}
	return false
}

func (s *share) try(n int) bool {
	if !s.budget.tryAcquire(n) {
		return false
	}
	s.requested = n
	return true
}

// received counts the events of a request in place of the bytes that were reserved for it.
func (s *share) received(events []Event) {
	total := 0
	for i := range events {
		n := events[i].size()
		total += n
		s.least = max(s.least, min(n+batchSlack, maxBatch))
	}
	if s.drained >= provenBatches-1 && 2*total >= s.requested {
		s.next = min(2*max(s.requested, firstBatch), maxBatch)
	}
	s.budget.adjust(total - s.requested)
	s.unsent += total
	s.requested, s.alone = 0, 0
}

// cancel gives back what was reserved for a request.
func (s *share) cancel() {
	if s.requested > 0 {
		s.budget.adjust(-s.requested)
		s.requested = 0
	}
}

// sent gives back what was read: the client has taken it.
func (s *share) sent() {
	if s.unsent > 0 {
		s.budget.adjust(-s.unsent)
		s.unsent = 0
		s.drained++
	}
}

// release gives everything back.
func (s *share) release() {
	s.cancel()
	s.sent()
}
