package feedhttp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/sse"
)

// session is one client's stream. The engine asks it for bytes, from one goroutine at a time;
// where the log must be asked, a goroutine does that for as long as it takes.
type session struct {
	handler  *Subscribe
	id       uint64
	grant    auth.Grant
	user     string
	remote   string
	trace    *feed.TraceContext // of the request that asked for it, else of its replays; mostly nil
	proto    uint8              // of HTTP, 11 for 1.1
	visible  bool               // heartbeats are events
	withMeta bool               // events are told with their subject and time
	seen     bool               // the observer was told
	controls
	leave   func()
	opening *opening // nil once it is sent
	start   time.Time
	slot    int32 // in Subscribe.streams, whose it is

	mu sync.Mutex
	deadlines
	waker   engine.Waker
	request *startRequest // nil once sub is there
	sub     *feed.Subscription
	left    feed.Delivery // taken from sub, not yet appended
	cancel  context.CancelFunc
	failed  error         // the first reason to end; set by failLocked alone
	ended   error         // nil before the end
	sent    feed.Position // the last id on the wire
	event   time.Time     // when the last event was appended, or taken by the kernel
	events  int
	bytes   int64
	replay  *replay // under way; nil where nobody hears of it

	// Side by side they take one word: there is a session for each of very many clients.
	behind  bool // it is counted as one that needs the log
	asking  bool // a goroutine asks the log
	counted bool // among the connects
	begun   bool // the client was told when to retry
	opened  bool
	fresh   bool // event is not known to be taken yet
	stalled bool // the socket has accepted nothing for a while, see Stalled
}

// Start implements engine.Source.
func (s *session) Start(w engine.Waker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waker = w
	if s.failed != nil {
		return // the first turn says farewell
	}
	sub, err := s.handler.opts.Feed.TrySubscribe(s.request.SubscribeOptions)
	switch {
	case err != nil:
		s.failLocked(err)
	case sub != nil:
		s.joinLocked(sub)
	case s.behindLocked(true):
		s.askLocked(s.subscribe)
	default:
		s.failLocked(errOverload)
		s.replay = nil
	}
}

// behindLocked counts the session among those that need the log, or takes it out. It reports
// whether a new one should be let in.
func (s *session) behindLocked(yes bool) (room bool) {
	if s.behind == yes {
		return true
	}
	s.behind = yes
	if yes {
		s.replayLocked()
		return s.handler.opts.Admission.replay(1)
	}
	s.replayedLocked()
	return s.handler.opts.Admission.replay(-1)
}

func (s *session) joinLocked(sub *feed.Subscription) {
	s.request.done()
	s.sub, s.request = sub, nil
	sub.Notify(s.waker)
}

// askLocked lets a goroutine ask the log. There is one at a time.
func (s *session) askLocked(ask func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.asking, s.cancel = true, cancel
	go func() {
		err := ask(ctx)
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asking, s.cancel = false, nil
		if s.ended != nil {
			s.releaseLocked()
			return
		}
		if s.stalled {
			s.suspendLocked()
		}
		s.failLocked(err)
		s.waker.Wake()
	}()
}

// subscribePause is how long a client waits for a log that answers with an error.
const subscribePause = 500 * time.Millisecond

// subscribe waits on the connection that the client has, whatever the log says, such as
// that the stream is being recreated: another answer would be final for an EventSource.
func (s *session) subscribe(ctx context.Context) error {
	opts := &s.handler.opts
	for told := false; ; told = true {
		sub, err := opts.Feed.Subscribe(ctx, s.request.SubscribeOptions)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.joinLocked(sub)
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, feed.ErrClosed) {
			return err
		}
		if many, ok := errors.AsType[*feed.TooManySubjectsError](err); ok {
			s.handler.refusedLast(s, many)
			return errSubjects
		}
		if !told {
			opts.Logger.LogAttrs(ctx, slog.LevelWarn, "a client waits for the stream", append(s.who(nil), slog.Any("error", err))...)
		}
		select {
		case <-ctx.Done():
		case <-time.After(subscribePause):
		}
	}
}

// fetch takes a step of catching up from the log.
func (s *session) fetch(ctx context.Context) error {
	d, err := s.sub.Fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = d
	return err
}

// Append implements engine.Source.
func (s *session) Append(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = false
	start := len(dst)
	err := s.overLocked(turn)
	if err == nil {
		dst, err = s.appendNewLocked(dst, start+s.roomLocked(turn), turn)
	}
	if err == nil && len(dst) == start {
		dst, err = s.appendBeatLocked(dst, turn)
	}
	if err != nil {
		dst = s.appendFarewellLocked(dst, err)
	}
	s.handler.counts.wrote(turn, len(dst)-start)
	return dst, s.dueLocked(turn, len(dst) > start), err
}

// overLocked returns why the stream is over.
func (s *session) overLocked(turn engine.WriteTurn) error {
	if s.fresh && !turn.Written.Before(s.event) {
		// A client may take longer over a write than it may be idle.
		s.event, s.fresh = turn.Written, false
	}
	if s.failed != nil {
		return s.failed
	}
	return s.passed(turn.Now)
}

// appendNewLocked appends the opening, and events while there is room.
func (s *session) appendNewLocked(dst []byte, limit int, turn engine.WriteTurn) ([]byte, error) {
	if s.sub == nil {
		return dst, nil
	}
	if !s.opened {
		s.opened = true
		dst = s.beginLocked(dst)
		if s.withMeta {
			status := s.handler.opts.Feed.Status()
			dst = s.meta(dst, OpenMeta{turn.Now.UnixMilli(), feed.Position{Seq: status.High, Epoch: status.Epoch}.String()})
		}
		dst = s.open(dst, s.handler.opts.Stream, s.sub, s.opening)
		s.opening = nil
		s.sent = s.sub.Opening().Position
		s.handler.counts.gap(s.sub.Opening().Gap)
	}
	start, before := len(dst), s.events
	for len(dst) < limit {
		if s.left.Empty() {
			if s.behind && s.events > before {
				break // what is next is read once the kernel has this
			}
			if more, err := s.pollLocked(limit - len(dst)); !more {
				return dst, err
			}
		}
		dst = s.appendDeliveryLocked(dst, limit, turn)
	}
	if s.behind || limit-start < turn.Room {
		s.waker.Wake() // there may be more, though this was less than the engine has room for
	}
	return dst, nil
}

func (s *session) roomLocked(turn engine.WriteTurn) int {
	if s.behind {
		return min(turn.Room, replayRoom)
	}
	return turn.Room
}

// pollLocked takes what the subscription has, or lets the log be asked.
func (s *session) pollLocked(room int) (more bool, err error) {
	if s.asking {
		return false, nil
	}
	d, behind, err := s.sub.Poll(room)
	if err != nil {
		return false, err
	}
	s.behindLocked(behind)
	if behind {
		s.askLocked(s.fetch)
	}
	s.left = d
	return !d.Empty(), nil
}

func (s *session) appendDeliveryLocked(dst []byte, limit int, turn engine.WriteTurn) []byte {
	if g := s.left.Gap; g != nil {
		dst = s.gap(s.beginLocked(dst), g)
		s.sent, s.left.Gap = g.Continues, nil
		s.handler.counts.gap(g)
	}
	n := 0
	for _, f := range s.left.Frames {
		if n > 0 && len(dst) >= limit {
			break
		}
		if s.withMeta {
			dst = s.meta(dst, EventMeta{f.Subject, f.Stored() / int64(time.Millisecond)})
		}
		dst = append(dst, f.Wire()...)
		s.sent.Seq = f.Seq
		n++
	}
	if n > 0 {
		s.handler.counts.frames(turn, s.start, s.left.Frames[:n])
		s.left.Frames = s.left.Frames[n:]
		s.events += n
		s.event, s.fresh = turn.Now, true
	}
	return dst
}

// beginLocked is what comes before the first bytes of a stream.
func (s *session) beginLocked(dst []byte) []byte {
	if s.begun {
		return dst
	}
	s.begun = true
	return sse.AppendRetry(dst, jitter(s.handler.opts.Retry, 0.5))
}

// Ended implements engine.Source.
func (s *session) Ended(err error, written int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.bytes = err, written
	if s.counted {
		s.handler.counts.ended(err)
	}
	if s.asking {
		s.cancel() // and its goroutine does the rest
		return
	}
	s.releaseLocked()
}

// releaseLocked gives everything back once nobody else uses it.
func (s *session) releaseLocked() {
	s.behindLocked(false)
	s.request.done()
	if s.sub != nil {
		s.sub.Close()
	}
	s.logEndLocked()
	s.partLocked()
	s.leave()
}

// revoke ends the session if a revocation takes back its grant.
func (s *session) revoke(rev auth.Revocation, at time.Time) (hit bool) {
	if hit = rev.Matches(s.grant, s.start, at); hit {
		s.mu.Lock()
		s.failLocked(errRevoked)
		s.mu.Unlock()
		s.wake()
	}
	return hit
}

// leaveBy ends the session at a time, with what that means, unless it ends before.
func (s *session) leaveBy(at time.Time, over error) {
	s.mu.Lock()
	s.endAt(at, over)
	s.mu.Unlock()
	s.wake()
}

// wake lets the engine look at the session.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waker != nil && s.ended == nil {
		s.waker.Wake()
	}
}
