package feedhttp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tidemark/tidemark/pkg/feed"
	"github.com/tidemark/tidemark/pkg/push"
	"github.com/tidemark/tidemark/pkg/sse"
)

// Why a session ends, as causes of its context.
var (
	errMaxAge = errors.New("the stream has reached its greatest age")
	errIdle   = errors.New("the stream was idle for too long")
	errDrain  = errors.New("the server is draining")
	errWrite  = errors.New("the client takes no more bytes")
	errGone   = errors.New("the client has gone")
)

// farewells are what clients are told. An end without one is the client's own.
var farewells = map[error]struct {
	reason  CloseReason
	message string
}{
	errMaxAge:      {CloseMaxAge, "this stream has lasted its time; reconnect to go on"},
	errIdle:        {CloseIdle, "nothing was sent for a long time; reconnect to go on"},
	errDrain:       {CloseDrain, "this server goes down; reconnect to go on with another"},
	feed.ErrClosed: {CloseDrain, "this feed goes down; reconnect to go on"},
}

// firstBeat is when a stream that still waits for the log gives its first sign of life.
const firstBeat = time.Second

// session is one client's stream: its own goroutine writes events, a timer's heartbeats.
type session struct {
	opts    *SubscribeOptions
	drain   context.Context
	request feed.SubscribeOptions
	user    string
	remote  string
	visible bool // heartbeats are events
	controls
	stream *push.Stream
	end    context.CancelCauseFunc

	mu        sync.Mutex // the stream is one writer's at a time
	sub       *feed.Subscription
	begun     bool // the client was told when to retry
	ended     bool
	sent      feed.Position // the last id on the wire
	lastWrite time.Time
	lastEvent time.Time
	events    int
	buf       []byte
	beat      *time.Timer
}

// run streams until the client goes or the session ends, and says farewell.
func (s *session) run(request context.Context) {
	ctx, end := context.WithCancelCause(request)
	defer end(nil)
	s.end = end
	defer context.AfterFunc(s.drain, func() { end(errDrain) })()
	if s.opts.MaxAge > 0 {
		defer time.AfterFunc(jitter(s.opts.MaxAge*95/100, 0.05), func() { end(errMaxAge) }).Stop()
	}
	start := time.Now()
	s.startBeat(start)
	err := s.deliver(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	s.close(err)
	if err == context.Canceled { // net/http's word for it
		err = errGone
	}
	s.opts.Logger.Info("stream ended", "user", s.user, "remote", s.remote, "reason", err,
		"events", s.events, "bytes", s.stream.Written(), "position", s.sent.String(),
		"after", time.Since(start).Round(time.Millisecond).String())
}

// deliver writes what the subscription gives until something ends it.
func (s *session) deliver(ctx context.Context) error {
	sub, err := s.subscribe(ctx)
	if err != nil {
		return err
	}
	defer sub.Close()
	if err := s.writeOpen(sub); err != nil {
		return err
	}
	for {
		d, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if err := s.writeDelivery(d); err != nil {
			return err
		}
	}
}

// subscribePause is how long a client waits for a log that answers with an error.
const subscribePause = 500 * time.Millisecond

// subscribe waits on the connection that the client has, whatever the log says, such as
// that the stream is being recreated: another answer would be final for an EventSource.
func (s *session) subscribe(ctx context.Context) (*feed.Subscription, error) {
	for told := false; ; told = true {
		sub, err := s.opts.Feed.Subscribe(ctx, s.request)
		if err == nil || ctx.Err() != nil || errors.Is(err, feed.ErrClosed) {
			return sub, err
		}
		if !told {
			s.opts.Logger.Warn("a client waits for the stream", "user", s.user, "remote", s.remote, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(subscribePause):
		}
	}
}

// begin is what comes before the first bytes of a stream.
func (s *session) beginLocked() {
	s.buf = s.buf[:0]
	if !s.begun {
		s.begun = true
		s.buf = sse.AppendRetry(s.buf, jitter(s.opts.Retry, 0.5))
	}
}

func (s *session) writeOpen(sub *feed.Subscription) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sub = sub
	s.beginLocked()
	s.buf = s.open(s.buf, s.opts.Stream, sub)
	s.sent = sub.Opening().Position
	return s.writeLocked(s.buf)
}

func (s *session) writeDelivery(d feed.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pieces := make([][]byte, 0, len(d.Frames)+1)
	if d.Gap != nil {
		s.beginLocked()
		s.buf = s.gap(s.buf, d.Gap)
		s.sent = d.Gap.Continues
		pieces = append(pieces, s.buf)
	}
	for _, f := range d.Frames {
		pieces = append(pieces, f.Wire())
	}
	if n := len(d.Frames); n > 0 {
		s.sent.Seq = d.Frames[n-1].Seq
		s.events += n
		// A client may take longer over a write than it may be idle.
		defer func() { s.lastEvent = time.Now() }()
	}
	return s.writeLocked(pieces...)
}

func (s *session) writeLocked(pieces ...[]byte) error {
	err := s.stream.Write(pieces...)
	s.lastWrite = time.Now()
	if err != nil {
		s.ended = true
		return errors.Join(errWrite, err)
	}
	return nil
}

func (s *session) startBeat(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastWrite, s.lastEvent = now, now
	s.beat = time.AfterFunc(min(firstBeat, s.opts.Heartbeat), s.tick)
}

// tick writes a heartbeat when one is due, ends an idle stream, and comes again.
func (s *session) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	now := time.Now()
	if s.opts.MaxIdle > 0 && now.Sub(s.lastEvent) >= s.opts.MaxIdle {
		s.end(errIdle)
		return
	}
	if !s.begun || now.Sub(s.lastWrite) >= s.opts.Heartbeat {
		if err := s.writeBeatLocked(); err != nil {
			s.end(err)
			return
		}
	}
	next := s.opts.Heartbeat - time.Since(s.lastWrite)
	if s.opts.MaxIdle > 0 {
		next = min(next, s.opts.MaxIdle-time.Since(s.lastEvent))
	}
	s.beat.Reset(max(next, time.Millisecond))
}

// writeBeatLocked writes the position where it has moved, so that a quiet client does not
// fall out of retention, else a comment.
func (s *session) writeBeatLocked() error {
	s.beginLocked()
	at, moved := s.positionLocked()
	if moved || s.visible && s.sub != nil {
		s.sent = at
		s.buf = s.position(s.buf, at)
	} else {
		s.buf = sse.AppendComment(s.buf, "")
	}
	return s.writeLocked(s.buf)
}

func (s *session) positionLocked() (at feed.Position, moved bool) {
	if s.sub == nil {
		return feed.Position{}, false
	}
	at = s.sub.Position()
	if at.Epoch != s.sent.Epoch || at.Seq <= s.sent.Seq {
		return s.sent, false // the other incarnation is told by its gap
	}
	return at, true
}

// close says why the stream ends, and when to come back.
func (s *session) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat.Stop()
	farewell, ok := farewells[err]
	if s.ended || !ok {
		s.ended = true
		return
	}
	s.ended, s.begun = true, true // the farewell says itself when to retry
	s.beginLocked()
	s.buf = s.controls.close(s.buf, farewell.reason, farewell.message, jitter(s.opts.Retry, 0.5))
	_ = s.writeLocked(s.buf) // a client that has gone needs no farewell
}
