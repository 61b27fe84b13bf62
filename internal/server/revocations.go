package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/metrics"
	"github.com/tidemark/tidemark/pkg/auth"
)

// revocations is what the node does about revocations beside remembering them.
type revocations struct {
	state revocationState

	mu               sync.Mutex    // messages come from the stream and from the subscription
	applied, invalid atomic.Uint64 // messages
	invalidLog       logLimit
	fullLog          logLimit
}

// revocationSource is how a message on RevokeSubject reached the node. Most do twice: at once by the
// subscription, and when they are stored by the stream, which counts them.
type revocationSource uint8

const (
	notStored  revocationSource = iota // by the subscription alone
	published                          // by the subscription; the stream follows
	stored                             // by the stream
	storedOnce                         // by the stream, from before it was followed
)

// subscribeRevocations applies what is published at once, also where the stream is missing, full, or
// cannot be read by this node.
func (s *Server) subscribeRevocations(context.Context) error {
	sub, err := s.nats.Subscribe(RevokeSubject, func(m *nats.Msg) {
		source := published
		size := m.Size() - len(m.Subject) - len(m.Reply)
		if phase, _ := s.revocations.state.get(); phase != revocationsFollowed || size > maxRevocationSize {
			source = notStored
		}
		s.applyRevocation(m.Data, time.Now(), source)
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", RevokeSubject, err)
	}
	s.onClose(func() { _ = sub.Unsubscribe() }) // fails only when the connection is closed
	return nil
}

// applyRevocation applies a message that was published at a time.
func (s *Server) applyRevocation(message []byte, at time.Time, source revocationSource) {
	s.revocations.mu.Lock()
	defer s.revocations.mu.Unlock()
	now := time.Now()
	rev, err := auth.ParseRevocation(message)
	if err != nil {
		s.invalidRevocation(now, err, source)
		return
	}
	if age := now.Sub(at); age > 0 && age < revocationFresh {
		at = now
	}
	dropped := s.revoked.Add(rev, at) // first, so that no connection is let in after the loop
	n := 0
	for _, h := range s.streams {
		n += h.Revoke(rev, at)
	}
	if source != published {
		s.revocations.applied.Add(1)
	}
	switch {
	case n > 0 || source == notStored:
		s.opts.Logger.Info("revoked", "user", rev.User, "token", rev.Token, "connections", n)
	case source == stored:
		s.opts.Logger.Info("revocation stored", "user", rev.User, "token", rev.Token)
	}
	if dropped == 0 {
		return
	}
	if total, ok := s.revocations.fullLog.allow(now, dropped); ok {
		s.opts.Logger.Error("revocation list full; oldest revocations evicted; their tokens are accepted again until they expire",
			"evicted", total, "revocations", s.revoked.Status().Remembered)
	}
}

func (s *Server) invalidRevocation(now time.Time, err error, source revocationSource) {
	if source == published {
		return
	}
	s.revocations.invalid.Add(1)
	if n, ok := s.revocations.invalidLog.allow(now, 1); ok {
		s.opts.Logger.Warn("invalid revocation message; ignored", "subject", RevokeSubject, "count", n, "error", err)
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
