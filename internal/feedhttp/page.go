package feedhttp

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/problem"
)

// Bounds of ?limit= and ?wait=. Proxies close a silent connection after 60 s.
const (
	defaultPageLimit = 100
	maxPageLimit     = 1000
	maxPageWait      = 55 * time.Second
)

// maxPageBytes ends a page of large events before its limit. An event that has begun is sent whole.
const maxPageBytes = 1 << 20

// pageStoreWait is how long a page waits for the store, if ?wait= is not longer.
const pageStoreWait = 5 * time.Second

// errPage is the reason of a connection that ended with its page.
var errPage = errors.New("the page is complete")

// page is the response of a poll, [FormJSON]:
//
//	{"events":[…],"position":"…","gaps":[…],"more":false}
//
// Gaps lie before the events: a gap that follows events begins the next page. The next request with the position
// continues exactly.
type page struct {
	limit int
	wait  bool
	until time.Time // when the wait for the first event ends
	store time.Time // when the wait for the store ends
	bytes int       // of earlier turns
	gaps  []byte    // JSON, separated by commas
	more  bool      // another request finds events, or may find them, without a wait

	identityChanged bool
}

// checkPageParams refuses parameters of a page in a request for another form. Without an effect they would look like a
// mistake of the server.
func checkPageParams(query url.Values, form Form) error {
	for _, name := range []string{"limit", "wait"} {
		if form != FormJSON && query.Has(name) {
			return badRequest("?%s= belongs to pages: send Accept: application/json, or leave it out", name)
		}
	}
	return nil
}

// newPage reads the parameters of a request.
func newPage(query url.Values, now time.Time) (*page, error) {
	limit, err := intParam(query, "limit", defaultPageLimit, 1, maxPageLimit)
	if err != nil {
		return nil, err
	}
	seconds, err := intParam(query, "wait", 0, 0, int(maxPageWait/time.Second))
	if err != nil {
		return nil, err
	}
	until := now.Add(time.Duration(seconds) * time.Second)
	store := now.Add(pageStoreWait)
	if until.After(store) {
		store = until
	}
	return &page{limit: limit, wait: seconds > 0, until: until, store: store}, nil
}

// intParam reads a whole number within bounds.
func intParam(query url.Values, name string, none, least, most int) (int, error) {
	if !query.Has(name) {
		return none, nil
	}
	n, err := strconv.Atoi(query.Get(name))
	if err != nil || n < least || n > most {
		return 0, badRequest("?%s=%.20s: must be a whole number from %d to %d", name, query.Get(name), least, most)
	}
	return n, nil
}

// servePage answers a poll. A refusal before the engine has the session is a status code with a problem. Later the
// status is decided: the page ends without the events that were to come, and the next request gets the refusal.
func (h *Subscribe) servePage(w http.ResponseWriter, r *http.Request, s *session) {
	s.mu.Lock()
	if s.state == stateNew {
		s.beginLocked()
	}
	refused := s.closeErr
	s.mu.Unlock()
	if refused != nil {
		s.Ended(refused, 0)
		h.refusePage(w, refused)
		return
	}
	setHeaders(w.Header(), FormJSON)
	h.opts.Engine.Serve(w, r, s, engine.Options{WriteTimeout: h.opts.WriteTimeout})
}

// refusePage answers a poll with the problem for a reason of closeEvents.
func (h *Subscribe) refusePage(w http.ResponseWriter, why error) {
	event := closeEvents[why]
	d := problem.Document{Detail: event.message}
	delay := h.opts.Retry
	if event.later {
		delay = h.opts.RetryLater
	}
	switch event.reason {
	case CloseLimit:
		d.Code = problem.RateLimited
	case CloseExpired:
		d.Code = problem.TokenExpired
	case CloseRevoked:
		d.Code = problem.Unauthenticated
	default:
		d.Code = problem.Unavailable
	}
	if d.Code == problem.RateLimited || d.Code == problem.Unavailable {
		d.RetryAfter = strconv.Itoa(max(int(math.Ceil(jitter(delay, 0.5).Seconds())), 1))
	}
	problem.Write(w, d)
}

// appendPageLocked appends the next part of the page. It returns engine.ErrComplete with the last part.
func (s *session) appendPageLocked(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
	p, start, done := s.page, len(dst), false
	if s.sub != nil && s.output != outputOpen {
		s.openPageLocked() // also where it closes: the client gets a position
	}
	err := s.closeErr
	if err == nil {
		err = s.deadlines.passed(turn.Now)
	}
	if err == nil && s.sub != nil {
		dst, done, err = s.appendPageEventsLocked(dst, turn)
	}
	behind := s.behindLocked()
	if err == nil && !done && behind && !turn.Now.Before(p.store) {
		done, p.more = true, true // the store does not answer
	}
	if err == nil && done {
		err = errPage
	}
	if err == nil {
		heartbeat := s.pageHeartbeatAt(turn)
		if len(dst) == start && !turn.Now.Before(heartbeat) {
			dst = append(dst, '\n') // JSON ignores it; proxies close silent connections
		}
		if len(dst) > start {
			heartbeat = turn.Now.Add(s.handler.opts.Heartbeat)
		}
		p.bytes += len(dst) - start
		due := p.until
		if behind {
			due = p.store
		}
		if heartbeat.Before(due) {
			due = heartbeat
		}
		return dst, s.deadlines.next(due, turn.Now), nil
	}
	s.closeLocked(err)
	return s.appendPageEndLocked(dst), time.Time{}, engine.ErrComplete
}

// appendPageEventsLocked appends events while there is room. done reports that the page has all of its events.
func (s *session) appendPageEventsLocked(dst []byte, turn engine.WriteTurn) (out []byte, done bool, err error) {
	p := s.page
	room := turn.Room
	if s.replay != nil {
		room = min(room, replayRoom)
	}
	start := len(dst)
	limit := start + room
	for before := s.sent.events; len(dst) < limit; {
		if s.sent.events >= p.limit || p.bytes+len(dst)-start >= maxPageBytes {
			return dst, true, s.peekLocked()
		}
		if s.left.Empty() {
			if s.replay != nil && s.sent.events > before {
				break // the next events are read when the kernel has accepted these
			}
			more, err := s.pollLocked(limit - len(dst))
			if err != nil {
				return dst, false, err
			}
			if !more {
				waits := s.behindLocked() || s.sent.events == 0 && len(p.gaps) == 0 && turn.Now.Before(p.until)
				return dst, !waits, nil
			}
		}
		if s.left.Gap != nil && s.sent.events > 0 {
			p.more = true
			return dst, true, nil
		}
		dst = s.appendPageDeliveryLocked(dst, limit, turn)
	}
	s.waker.Wake() // the engine expects no more after less than turn.Room bytes
	return dst, false, nil
}

// pageHeartbeatAt returns the time of the next heartbeat of a poll that waits.
func (s *session) pageHeartbeatAt(turn engine.WriteTurn) time.Time {
	if turn.Written.IsZero() {
		return s.start.Add(s.handler.opts.Heartbeat)
	}
	return turn.Written.Add(s.handler.opts.Heartbeat)
}

// behindLocked reports that stored events may follow those that were sent.
func (s *session) behindLocked() bool {
	return s.sub == nil || s.read != nil || s.sub.State() != feed.Live
}

// openPageLocked begins with the start of the subscription.
func (s *session) openPageLocked() {
	s.request, s.output = nil, outputOpen
	opening := s.sub.StartInfo()
	s.sent.position = opening.Position
	if opening.Gap != nil {
		s.addGapLocked(opening.Gap)
	}
}

func (s *session) addGapLocked(g *feed.Gap) {
	if len(s.page.gaps) > 0 {
		s.page.gaps = append(s.page.gaps, ',')
	}
	s.page.gaps = append(s.page.gaps, asJSON(newGapEvent(g))...)
	s.sent.position = g.Continues
	s.handler.counts.gap(g)
}

// appendPageDeliveryLocked appends a gap and events that were taken from the subscription.
func (s *session) appendPageDeliveryLocked(dst []byte, limit int, turn engine.WriteTurn) []byte {
	if s.left.Gap != nil {
		s.addGapLocked(s.left.Gap)
		s.left.Gap = nil
	}
	frames := s.left.Frames[:min(len(s.left.Frames), s.page.limit-s.sent.events)]
	n := 0
	for _, f := range frames {
		if n > 0 && len(dst) >= limit {
			break
		}
		if s.sent.events+n == 0 {
			dst = append(dst, `{"events":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = f.AppendJSON(dst, s.handler.source)
		s.sent.position.Seq = f.Seq
		n++
	}
	if n > 0 {
		s.handler.counts.frames(turn, s.start, frames[:n])
		s.left.Frames = s.left.Frames[n:]
		s.sent.events += n
		s.idle.handedOver(turn.Now)
	}
	return dst
}

// peekLocked finds out whether there are more events than a full page has.
func (s *session) peekLocked() error {
	p := s.page
	if p.more = !s.left.Empty() || s.read != nil; p.more {
		return nil
	}
	d, behind, err := s.pollUntilEnd(1)
	s.left, p.more = d, behind || !d.Empty() || s.behindLocked()
	return err
}

// appendPageEndLocked appends the rest of the page. The position has passed events that the subscription does not
// have, if there is nothing more.
func (s *session) appendPageEndLocked(dst []byte) []byte {
	p := s.page
	if s.sent.events == 0 {
		dst = append(dst, `{"events":[`...)
	}
	position := ""
	if s.sub != nil && s.output == outputOpen {
		if at := s.sub.Position(); s.left.Empty() && at.Epoch == s.sent.position.Epoch && at.Seq > s.sent.position.Seq {
			s.sent.position = at
		}
		position = s.sent.position.String()
	}
	dst = feed.AppendJSONString(append(dst, `],"position":`...), position)
	dst = append(append(append(dst, `,"gaps":[`...), p.gaps...), `],"more":`...)
	dst = strconv.AppendBool(dst, p.more)
	if s.closeErr == engine.ErrComplete {
		dst = append(dst, `,"complete":true`...)
	}
	if p.identityChanged {
		dst = append(dst, `,"identity_changed":true`...)
	}
	return append(dst, "}\n"...)
}

// endOfPage returns the reason of a poll's end, for counters and the log.
func (s *session) endOfPage(err error) error {
	if err == engine.ErrComplete && s.closeErr != nil {
		return s.closeErr
	}
	return err
}
