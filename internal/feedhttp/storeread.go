package feedhttp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// storeRead is a goroutine that reads from the store for a session. A session has one at a time.
type storeRead struct {
	cancel context.CancelFunc
	// discard drops the result: the client accepts nothing, and reading again costs less than
	// memory for each such client. The next turn clears it.
	discard bool
}

// startReadLocked starts the goroutine. It wakes the session at its end, or releases a session that closed in
// between.
func (s *session) startReadLocked(read func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.read = &storeRead{cancel: cancel}
	go func() {
		err := read(ctx)
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		discard := s.read.discard
		s.read = nil
		if s.state == stateClosed {
			s.releaseLocked()
			return
		}
		if discard {
			s.suspendLocked()
		}
		s.closeLocked(err)
		s.waker.Wake()
	}()
}

// subscribePause is the time between two attempts to subscribe while the store answers with errors.
const subscribePause = 500 * time.Millisecond

// subscribe repeats the attempt whatever the error, such as that the stream is being recreated: any
// other answer than an open response is final for an EventSource.
func (s *session) subscribe(ctx context.Context) error {
	opts := &s.handler.opts
	for logged := false; ; logged = true {
		sub, err := opts.Feed.Subscribe(ctx, s.request.SubscribeOptions)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.subscribedLocked(sub)
			sub.Notify(s.waker)
			s.moveLocked(stateCatchingUp)
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, feed.ErrClosed) {
			return err
		}
		if many, ok := errors.AsType[*feed.TooManySubjectsError](err); ok {
			s.handler.rejectTooManySubjects(s, many)
			return errSubjects
		}
		if !logged {
			opts.Logger.LogAttrs(ctx, slog.LevelWarn, "subscribe: request failed; retrying while the connection waits", append(s.logFields(nil), slog.Any("error", err))...)
		}
		select {
		case <-ctx.Done():
		case <-time.After(subscribePause):
		}
	}
}

// fetch reads the next events of a replay.
func (s *session) fetch(ctx context.Context) error {
	d, err := s.sub.Fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = d
	return err
}

// Stalled implements engine.StallNotified. A replay gives back what it holds; events that are live are bounded
// by the feed.
func (s *session) Stalled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read != nil {
		s.read.discard = true
		return
	}
	s.suspendLocked()
}

// suspendLocked drops the events that were read for a client that accepts none. They are read again, from
// the first event that was not sent, when the engine requests more.
func (s *session) suspendLocked() {
	if s.sub != nil && s.sub.Suspend(s.left.Frames) {
		s.left.Frames = nil
	}
}
