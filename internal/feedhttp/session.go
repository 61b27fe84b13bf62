package feedhttp

import (
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/auth"
)

// session is one connection. It is the [engine.Source] of its response: the engine requests bytes
// from one goroutine at a time. A goroutine of the session's own reads from the store where that is
// needed, for as long as it takes.
//
// There is a session for each of very many clients: fields are grouped by the lock that guards them, and
// small ones share a word.
type session struct {
	// Constant from register on.
	handler  *Subscribe
	id       uint64
	user     string
	remote   string
	grant    auth.Grant
	start    time.Time
	release  func() // gives back the place within the limits
	controls controlWriter
	page     *page // of FormJSON; nil for other forms. mu guards its fields

	slot  int32 // in Subscribe.conns, whose lock guards it
	proto uint8 // of HTTP, 11 for 1.1; constant

	// mu guards the next three fields, and those after it.
	state     state // changed by moveLocked alone
	announced announcement
	output    output
	mu        sync.Mutex
	closeErr  error // why the session closes or closed; nil in all other states
	waker     engine.Waker
	request   *startRequest // nil once tidemark.open is written
	sub       *feed.Subscription
	left      feed.Delivery // taken from sub, not yet appended
	read      *storeRead    // nil while no goroutine reads from the store
	replay    *replay       // nil while the session holds no place among Limits.Replays
	deadlines deadlines
	idle      idleClock
	sent      sent
	// trace is that of the client's request, else of its replays; mostly nil.
	trace *feed.TraceContext
}

// announcement records the counters and observers that know of a connection. They are also notified of its
// end.
type announcement uint8

const (
	notAnnounced      announcement = iota // rejected
	announcedCount                        // counted among the connects
	announcedObserver                     // and the observer was notified
)

// output is the progress of a response.
type output uint8

const (
	outputNone  output = iota
	outputRetry        // the delay after which the client reconnects
	outputOpen         // tidemark.open
)

// sent counts the events and bytes of a response.
type sent struct {
	position feed.Position // the last id on the wire
	events   int
	bytes    int64 // known at the end
}

// startRequest is the request of a client. It is dropped once tidemark.open is written.
type startRequest struct {
	feed.SubscribeOptions
	identity identityTag
	costly   bool   // for the store
	release  func() // of Admission.admitLast; nil where the start is not counted
}

// done gives back the place of Admission.admitLast.
func (r *startRequest) done() {
	if r != nil && r.release != nil {
		r.release()
	}
}

// Start implements engine.Source.
func (s *session) Start(w engine.Waker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waker = w
	if s.state == stateNew { // else it is rejected: the first turn writes the close event
		s.beginLocked()
	}
	switch {
	case s.sub != nil:
		s.sub.Notify(w)
	case s.state == stateConnecting:
		s.startReadLocked(s.subscribe)
	}
}

// beginLocked subscribes, or takes a place among Limits.Replays to ask the store first.
func (s *session) beginLocked() {
	sub, err := s.handler.opts.Feed.TrySubscribe(s.request.SubscribeOptions)
	switch {
	case err != nil:
		s.closeLocked(err)
	case sub != nil:
		s.subscribedLocked(sub)
		s.moveLocked(stateLive)
	case !s.moveLocked(stateConnecting):
		s.closeLocked(errOverload)
	}
}

func (s *session) subscribedLocked(sub *feed.Subscription) {
	s.request.done()
	s.sub = sub
}

// Ended implements engine.Source.
func (s *session) Ended(err error, written int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moveLocked(stateClosed)
	if s.page != nil {
		err = s.endOfPage(err)
	}
	s.closeErr, s.sent.bytes = err, written
	if s.announced != notAnnounced {
		s.handler.counts.ended(err)
	}
	if s.read != nil {
		s.read.cancel() // its goroutine releases the session
		return
	}
	s.releaseLocked()
}

// releaseLocked gives everything back. Neither the engine nor a goroutine uses the session any more.
func (s *session) releaseLocked() {
	s.endReplayLocked()
	s.request.done()
	if s.sub != nil {
		s.sub.Close()
	}
	s.logEndLocked()
	if s.announced == announcedObserver {
		s.handler.opts.Observer.Disconnected(Conn{s}, endReason(s.closeErr))
	}
	s.release()
}

// revoke ends the session if a revocation takes back its grant.
func (s *session) revoke(rev auth.Revocation, at time.Time) (hit bool) {
	if !rev.Matches(s.grant, s.start, at) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked(errRevoked)
	s.wakeLocked()
	return true
}

// closeAt ends the session at a time for a reason, unless it ends before.
func (s *session) closeAt(at time.Time, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadlines.set(at, why)
	s.wakeLocked()
}

// wakeLocked requests a turn from the engine, unless the engine has not started the session or has ended
// it.
func (s *session) wakeLocked() {
	if s.waker != nil && s.state != stateClosed {
		s.waker.Wake()
	}
}
