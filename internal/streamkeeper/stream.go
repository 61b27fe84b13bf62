package streamkeeper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/streamdef"
	"github.com/tidemark/tidemark/internal/subject"
)

const (
	checkEvery = 500 * time.Millisecond // how often the feed's state, and a missing stream, are checked
	pollEvery  = 10 * time.Second       // how often JetStream is requested though nothing seems wrong

	// recreateFirst passes before a missing stream is created, so that an operator can replace it
	// with `nats stream rm` and `nats stream add`, and nats-server can remove the files: a stream
	// that is created before may find messages of the deleted one. It doubles with each attempt, and with each
	// loss, up to recreateLast: nodes do not fight with whatever deletes the stream. It starts
	// over when the stream has existed for recreateCalm.
	recreateFirst = time.Second
	recreateLast  = time.Minute
	recreateCalm  = 10 * time.Minute
)

// stream is a stream of Options.Definitions. The goroutine of keep writes it.
type stream struct {
	want jetstream.StreamConfig

	mu          sync.Mutex
	pending     bool   // not found or created yet
	owned       bool   // the present or last incarnation was created by a node
	missing     string // why it is missing, or still is; empty while it exists
	recreations uint64

	// Only keep uses these.
	wait        time.Duration // before the next attempt to create it
	next        time.Time     // of that attempt
	created     time.Time     // last, by this node at run time
	polled      time.Time
	epoch       string // of the feed, when it was looked at last
	ownedEpochs []string
}

// maxOwnedEpochs bounds the epochs of marked incarnations that are remembered.
const maxOwnedEpochs = 8

// found records that the stream exists.
func (s *stream) found(out streamdef.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.owned, s.missing = false, out.Owned, ""
	if out.Owned && !slices.Contains(s.ownedEpochs, out.Epoch) {
		s.ownedEpochs = append(s.ownedEpochs, out.Epoch)
		s.ownedEpochs = s.ownedEpochs[max(len(s.ownedEpochs)-maxOwnedEpochs, 0):]
	}
}

// lost records that the stream does not exist. It reports whether it is to be created again, and
// whether this is new. The feed may have followed another incarnation, whose mark was not looked
// at before it went away, too: followed is its epoch, empty if it followed none.
func (s *stream) lost(followed string) (owned, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if followed != "" && !slices.Contains(s.ownedEpochs, followed) {
		s.owned = false
	}
	first = s.owned && s.missing == ""
	if first {
		s.missing = fmt.Sprintf("stream %s is lost, and will be created again", s.want.Name)
	}
	return s.owned, first
}

// failed records why the stream could not be created, and reports whether the reason is new.
func (s *stream) failed(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.missing == err.Error()
	s.missing = err.Error()
	return !known
}

// isPending reports whether the stream was neither found nor created yet.
func (s *stream) isPending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending
}

// whyMissing is empty while the stream exists.
func (s *stream) whyMissing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing
}

// stores reports whether the stream has the subject and is created where it is missing. The subjects of a
// mirror's origin are not known here.
func (s *stream) stores(subj string) bool {
	s.mu.Lock()
	created := s.pending || s.owned
	s.mu.Unlock()
	subjects := s.want.Subjects
	if len(subjects) == 0 && len(s.want.Sources) == 0 {
		subjects = []string{s.want.Name} // as JetStream has it
	}
	return created && (s.want.Mirror != nil || slices.ContainsFunc(subjects, func(f string) bool { return subject.Matches(f, subj) }))
}

// keep blocks until ctx ends.
func (k *Keeper) keep(ctx context.Context, s *stream) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for s.polled = time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if k.isCheckDue(s) {
			k.check(ctx, s)
		}
	}
}

// isCheckDue reports whether JetStream is to be requested now: the stream is missing or seems to be, may
// be another incarnation, or was not checked for pollEvery.
func (k *Keeper) isCheckDue(s *stream) bool {
	if s.whyMissing() != "" || time.Since(s.polled) >= pollEvery {
		return true
	}
	f := k.feeds[s.want.Name]
	if f == nil {
		return false
	}
	status := f.Status()
	changed := status.Epoch != s.epoch
	s.epoch = status.Epoch
	return changed || errors.Is(status.Lost, feed.ErrNoStream)
}

// check requests the stream, and creates it again if it is missing and its pause has passed.
func (k *Keeper) check(ctx context.Context, s *stream) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	s.polled = time.Now()
	out, err := streamdef.Inspect(ctx, k.js, s.want)
	switch {
	case err != nil: // nothing is known about the stream then
		return
	case out.Action != streamdef.Missing:
		s.found(out)
		return
	}
	owned, first := s.lost(k.followed(s))
	if !owned {
		return
	}
	if first {
		k.scheduleRecreation(s)
	}
	if time.Now().Before(s.next) {
		return
	}
	k.recreate(ctx, s)
}

// followed is the epoch that the stream's feed is in; empty where it has none.
func (k *Keeper) followed(s *stream) string {
	if f := k.feeds[s.want.Name]; f != nil {
		return f.Status().Epoch
	}
	return ""
}

func (k *Keeper) scheduleRecreation(s *stream) {
	if !s.created.IsZero() && time.Since(s.created) > recreateCalm {
		s.wait = recreateFirst
	}
	s.postpone()
	k.opts.Logger.Warn("stream: lost; it will be created again", "stream", s.want.Name, "in", time.Until(s.next).Round(time.Millisecond).String())
}

// postpone sets the time of the next attempt. The jitter keeps nodes from trying all at once.
func (s *stream) postpone() {
	s.next = time.Now().Add(s.wait + rand.N(s.wait/2)) //nolint:gosec // G404: spreads nodes, nothing secret
	s.wait = min(2*s.wait, recreateLast)
}

// recreate creates the stream if it still is missing. Several nodes may do so at once: JetStream
// takes their requests, which are the same, for one.
func (k *Keeper) recreate(ctx context.Context, s *stream) {
	out, err := streamdef.ProvisionOwned(ctx, k.js, s.want, false)
	if err != nil {
		s.postpone()
		if s.failed(err) { // once, not at each attempt of a long outage
			k.opts.Logger.Warn("stream: cannot be created again; retrying", "stream", s.want.Name, "error", err)
		}
		return
	}
	if out.Action == streamdef.Created {
		s.created = time.Now()
		s.mu.Lock()
		s.recreations++
		s.mu.Unlock()
		k.opts.Logger.Warn("stream: created again; its events are lost", "stream", s.want.Name)
	}
	s.found(out)
}
