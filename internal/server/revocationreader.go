package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

const (
	// revocationRetry is how long a node that cannot store revocations waits before it tries again.
	revocationRetry = time.Minute
	// revocationFresh is the age up to which a revocation counts as made now: the clocks of NATS and of
	// this node may differ.
	revocationFresh = 5 * time.Second
)

// revocationPhase says where a node has its revocations from.
type revocationPhase uint8

const (
	revocationsWaiting  revocationPhase = iota // the stream is not read yet; the node is not ready
	revocationsFollowed                        // all that are stored are applied, and later ones follow
	revocationsUnstored                        // the stream cannot exist or be read: only those published now are applied
)

// revocationState is the phase of a node. Its zero value is waiting.
//
//	waiting ──read to its end──▶ followed ──stream deleted──▶ waiting
//	waiting ──denied, refused──▶ unstored ──reconnect, or a minute──▶ (tried again)
type revocationState struct {
	mu        sync.Mutex
	phase     revocationPhase
	detail    string // why it is not followed, or out of reach; empty where all is well
	interrupt context.CancelCauseFunc
}

func (r *revocationState) set(phase revocationPhase, detail string) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed = r.phase != phase || r.detail != detail
	r.phase, r.detail = phase, detail
	return changed
}

func (r *revocationState) get() (revocationPhase, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase, r.detail
}

// begin returns a context that denied ends.
func (r *revocationState) begin(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupt = cancel
	return ctx, cancel
}

// deniedError reports a permission that is missing.
type deniedError struct{ error }

// denied takes violations of permissions that reading the stream needs. To delete a consumer is not one.
func (r *revocationState) denied(err error) (known bool) {
	text := err.Error()
	if !strings.Contains(text, "."+RevocationStream) || strings.Contains(text, "CONSUMER.DELETE") {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.interrupt != nil {
		r.interrupt(deniedError{err})
	}
	return true
}

// followRevocations applies what is stored and what comes, until ctx ends.
func (s *Server) followRevocations(ctx context.Context) {
	for {
		reconnects := s.nats.Stats().Reconnects
		err := s.readRevocations(ctx)
		if ctx.Err() != nil {
			return
		}
		if !s.revocationsFailed(err) {
			pause(ctx, provisionPause)
			continue
		}
		// Permissions change with a new connection.
		_, denied := errors.AsType[deniedError](err)
		for start := time.Now(); ctx.Err() == nil && s.nats.Stats().Reconnects == reconnects; {
			if pause(ctx, provisionPause); !denied && time.Since(start) >= revocationRetry {
				break
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// revocationsFailed notes why the stream is not followed, and reports whether it cannot be.
func (s *Server) revocationsFailed(err error) (unstored bool) {
	_, denied := errors.AsType[deniedError](err)
	unstored = denied || errors.Is(err, errOtherStream) || refusedForGood(err)
	if !unstored {
		if s.revocations.state.set(revocationsWaiting, err.Error()) && !jetstore.NotConnected(err) {
			s.opts.Logger.Warn("waiting for the stream of revocations", "error", err)
		}
		return false
	}
	if s.revocations.state.set(revocationsUnstored, err.Error()) {
		s.opts.Logger.Warn("revocations are not stored: this node applies those that are published while it is connected, and forgets them when it restarts; permit its user to create and read the stream",
			"stream", RevocationStream, "error", err)
	}
	return true
}

// refusedForGood reports that JetStream refuses the stream for a reason that does not pass by itself.
func refusedForGood(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return false
	}
	switch api.ErrorCode {
	case 10058: // another node has created it at the same time
		return false
	case 10023: // insufficient resources, which is a 503
		return true
	}
	return api.Code != 503 && !errors.Is(err, jetstream.ErrStreamNotFound)
}

// readRevocations blocks while the stream is followed, and returns why it is not any more.
func (s *Server) readRevocations(ctx context.Context) (err error) {
	ctx, cancel := s.revocations.state.begin(ctx)
	defer cancel(nil)
	defer func() {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
	}()
	opening, opened := context.WithTimeout(ctx, provisionTimeout)
	defer opened()
	if err := s.openRevocationStream(opening); err != nil {
		return err
	}
	log, err := jetstore.Open(s.nats, jetstore.Options{Stream: RevocationStream, Domain: s.opts.Domain, APIPrefix: s.opts.APIPrefix, FollowBytes: 1 << 20, Logger: s.opts.Logger})
	if err != nil {
		return err
	}
	defer log.Close()
	state, err := log.State(opening)
	if err != nil {
		return err
	}
	return s.applyStored(ctx, log, state, cancel)
}

// applyStored reads the stream from its beginning, and goes on with what is stored later.
func (s *Server) applyStored(ctx context.Context, log *jetstore.Store, state feed.State, cancel context.CancelCauseFunc) error {
	read := func() {
		if s.revocations.state.set(revocationsFollowed, "") {
			s.opts.Logger.Info("stored revocations are read", "stream", RevocationStream, "remembered", s.revoked.Status().Remembered)
		}
	}
	if state.FirstSeq > state.LastSeq || state.LastSeq == 0 {
		read()
	}
	contact := func(err error) {
		switch {
		case errors.Is(err, feed.ErrNoStream):
			cancel(fmt.Errorf("stream %s: %w", RevocationStream, err))
		case err != nil:
			s.revocations.state.lost(err)
		default:
			s.revocations.state.lost(nil)
		}
	}
	for ev, err := range log.Follow(ctx, feed.FollowOptions{From: max(state.FirstSeq, 1), Epoch: state.Epoch, Born: state.Born, Contact: contact}) {
		if err != nil {
			return err // the stream was restored, or purged: it is read from its beginning again
		}
		if !ev.Deleted {
			source := stored
			if ev.Seq <= state.LastSeq {
				source = storedOnce
			}
			s.applyRevocation(ev.Data, ev.Time, source)
		}
		if ev.Seq == state.LastSeq {
			read()
		}
	}
	return nil
}

// lost notes that a stream that is followed is out of reach, or in reach again (nil).
func (r *revocationState) lost(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != revocationsFollowed {
		return
	}
	r.detail = ""
	if err != nil {
		r.detail = err.Error()
	}
}

// checkRevocations reports into h. A node that cannot store revocations serves, visibly degraded.
func (s *Server) checkRevocations(h *Health) {
	const name = "revocations"
	phase, detail := s.revocations.state.get()
	switch {
	case phase == revocationsWaiting:
		h.Checks[name], h.Status = "the stream is not read yet", "unavailable"
		if detail != "" {
			h.Checks[name] += ": " + detail
		}
	case phase == revocationsUnstored:
		h.Checks[name] = "not stored, and lost when this node restarts: " + detail
		h.degrade()
	case detail != "":
		h.Checks[name] = "out of reach: " + detail
		h.degrade()
	default:
		h.Checks[name] = "ok"
	}
}
