package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/server/metrics"
)

// revocations is what the node does about revocations beside remembering them.
type revocations struct {
	applied, invalid atomic.Uint64 // messages
	invalidLog       logLimit
	fullLog          logLimit
}

// hearRevocations ends the streams that a revocation is about, and keeps its token out.
func (s *Server) hearRevocations(context.Context) error {
	sub, err := s.nats.Subscribe(RevokeSubject, func(m *nats.Msg) { s.applyRevocation(m.Data) })
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", RevokeSubject, err)
	}
	s.onClose(func() { _ = sub.Unsubscribe() }) // fails only when the connection is closed
	return nil
}

func (s *Server) applyRevocation(message []byte) {
	now := time.Now()
	rev, err := auth.ParseRevocation(message)
	if err != nil {
		s.revocations.invalid.Add(1)
		if n, ok := s.revocations.invalidLog.allow(now, 1); ok {
			s.opts.Logger.Warn("invalid revocation message; ignored", "subject", RevokeSubject, "count", n, "error", err)
		}
		return
	}
	dropped := s.revoked.Add(rev, now) // first, so that nobody slips in behind it
	n := 0
	for _, h := range s.streams {
		n += h.Revoke(rev, now)
	}
	s.revocations.applied.Add(1)
	s.opts.Logger.Info("revoked", "user", rev.User, "token", rev.Token, "streams", n)
	if dropped == 0 {
		return
	}
	if total, ok := s.revocations.fullLog.allow(now, dropped); ok {
		s.opts.Logger.Error("revocation list full; oldest revocations forgotten, and their tokens accepted again until they expire: shorten the life of tokens, or revoke fewer",
			"forgotten", total, "remembered", s.revoked.Status().Remembered)
	}
}

// revocationStatus is for the metrics.
func (s *Server) revocationStatus() metrics.Revocations {
	status := s.revoked.Status()
	return metrics.Revocations{
		Remembered: status.Remembered, Forgotten: status.Dropped,
		Applied: s.revocations.applied.Load(), Invalid: s.revocations.invalid.Load(),
	}
}

// logEvery is how often a line that messages from outside can cause is written at most.
const logEvery = 10 * time.Second

// logLimit thins out such lines. The zero value is ready; one goroutine at a time may use it.
type logLimit struct {
	next  time.Time
	count int
}

// allow counts n occurrences. Where a line is due, it returns how many it stands for.
func (l *logLimit) allow(now time.Time, n int) (count int, ok bool) {
	l.count += n
	if now.Before(l.next) {
		return 0, false
	}
	count, l.count, l.next = l.count, 0, now.Add(logEvery)
	return count, true
}
