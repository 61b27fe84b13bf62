package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/subject"
)

// A node creates a stream again that goes away at run time, such as one in memory whose NATS
// server was restarted, if a node created it before: the stream has the mark of
// [jetstore.ProvisionOwned]. That JetStream answers "stream not found" (10059) is the only evidence
// that counts. A stream that an operator made is never created, also not where it took the place
// of one of ours: the incarnation that went away must have had the mark.
const (
	keepLook = 500 * time.Millisecond // how often the feed's state is looked at, and a missing stream
	keepPoll = 10 * time.Second       // how often JetStream is asked though nothing seems wrong

	// recreateFirst passes before a missing stream is created, so that an operator can replace it
	// with `nats stream rm` and `nats stream add`, and nats-server can remove the files: a stream
	// that is created before may find messages of the deleted one. It doubles with each attempt, and with each
	// loss, up to recreateLast: nodes do not fight with whatever deletes the stream. It starts
	// over when the stream has existed for recreateCalm.
	recreateFirst = time.Second
	recreateLast  = time.Minute
	recreateCalm  = 10 * time.Minute
)

// keptStream is a stream of Options.Streams. The goroutine of keepStream writes it.
type keptStream struct {
	want jetstream.StreamConfig

	mu          sync.Mutex
	pending     bool   // not found or created yet
	owned       bool   // the present or last incarnation was created by a node
	missing     string // why it is missing, or still is; empty while it exists
	recreations uint64

	// Only keepStream uses these.
	wait    time.Duration // before the next attempt to create it
	next    time.Time     // of that attempt
	created time.Time     // last, by this node at run time
	polled  time.Time
	epoch   string // of the feed, when it was looked at last
	ours    []string
}

// maxOurs bounds the epochs of marked incarnations that are remembered.
const maxOurs = 8

// found records that the stream exists.
func (k *keptStream) found(out jetstore.Outcome) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending, k.owned, k.missing = false, out.Owned, ""
	if out.Owned && !slices.Contains(k.ours, out.Epoch) {
		k.ours = append(k.ours, out.Epoch)
		k.ours = k.ours[max(len(k.ours)-maxOurs, 0):]
	}
}

// lost records that the stream does not exist. It reports whether it is to be created again, and
// whether this is new. The feed may have followed another incarnation, whose mark was not looked
// at before it went away, too: followed is its epoch, empty if it followed none.
func (k *keptStream) lost(followed string) (owned, first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if followed != "" && !slices.Contains(k.ours, followed) {
		k.owned = false
	}
	first = k.owned && k.missing == ""
	if first {
		k.missing = fmt.Sprintf("stream %s went away, and will be created again", k.want.Name)
	}
	return k.owned, first
}

// failed records why the stream could not be created, and reports whether the reason is new.
func (k *keptStream) failed(err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.missing == err.Error()
	k.missing = err.Error()
	return !known
}

// isPending reports whether the stream was neither found nor created yet.
func (k *keptStream) isPending() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pending
}

func (k *keptStream) isMissing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.missing != ""
}

// keptStreams are by name. Nothing is added or removed after newKeptStreams.
type keptStreams map[string]*keptStream

func newKeptStreams(wanted []jetstream.StreamConfig) keptStreams {
	all := make(keptStreams, len(wanted))
	for _, want := range wanted {
		all[want.Name] = &keptStream{want: want, pending: true, wait: recreateFirst}
	}
	return all
}

// expected is as in jetstore.PublisherOptions.
func (all keptStreams) expected(subject string) string {
	for name, k := range all {
		if k.takes(subject) {
			return name
		}
	}
	return ""
}

// takes reports whether the stream takes the subject and is created where it is missing. What a
// mirror's origin takes is not known here.
func (k *keptStream) takes(subj string) bool {
	k.mu.Lock()
	created := k.pending || k.owned
	k.mu.Unlock()
	subjects := k.want.Subjects
	if len(subjects) == 0 && len(k.want.Sources) == 0 {
		subjects = []string{k.want.Name} // as JetStream has it
	}
	return created && (k.want.Mirror != nil || slices.ContainsFunc(subjects, func(f string) bool { return subject.Matches(f, subj) }))
}

// err reports streams that went away and are not created again yet.
func (all keptStreams) err() error {
	var missing []string
	for _, k := range all {
		k.mu.Lock()
		if k.missing != "" {
			missing = append(missing, k.missing)
		}
		k.mu.Unlock()
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return errors.New(strings.Join(missing, "; "))
}

func (all keptStreams) recreations() map[string]uint64 {
	counts := make(map[string]uint64, len(all))
	for name, k := range all {
		k.mu.Lock()
		counts[name] = k.recreations
		k.mu.Unlock()
	}
	return counts
}

// keepStream blocks until ctx ends.
func (s *Server) keepStream(ctx context.Context, k *keptStream) {
	ticker := time.NewTicker(keepLook)
	defer ticker.Stop()
	for k.polled = time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.lookDue(k) {
			s.look(ctx, k)
		}
	}
}

// lookDue reports whether JetStream is to be asked now: the stream is missing or seems to be, may
// be another incarnation, or was not looked at for keepPoll.
func (s *Server) lookDue(k *keptStream) bool {
	if k.isMissing() || time.Since(k.polled) >= keepPoll {
		return true
	}
	f := s.feeds[k.want.Name]
	if f == nil {
		return false
	}
	status := f.Status()
	changed := status.Epoch != k.epoch
	k.epoch = status.Epoch
	return changed || errors.Is(status.Lost, feed.ErrNoStream)
}

// look asks JetStream for the stream, and creates it if it is missing and its time has come.
func (s *Server) look(ctx context.Context, k *keptStream) {
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	k.polled = time.Now()
	out, err := jetstore.Inspect(ctx, s.js, k.want)
	switch {
	case err != nil: // nothing is known about the stream then
		return
	case out.Action != jetstore.Missing:
		k.found(out)
		return
	}
	owned, first := k.lost(s.followed(k))
	if !owned {
		return
	}
	if first {
		s.scheduleRecreation(k)
	}
	if time.Now().Before(k.next) {
		return
	}
	s.recreate(ctx, k)
}

// followed is the epoch that the stream's feed is in; empty where it has none.
func (s *Server) followed(k *keptStream) string {
	if f := s.feeds[k.want.Name]; f != nil {
		return f.Status().Epoch
	}
	return ""
}

func (s *Server) scheduleRecreation(k *keptStream) {
	if !k.created.IsZero() && time.Since(k.created) > recreateCalm {
		k.wait = recreateFirst
	}
	k.postpone()
	s.opts.Logger.Warn("stream went away; it will be created again", "stream", k.want.Name, "in", time.Until(k.next).Round(time.Millisecond).String())
}

// postpone sets the time of the next attempt. The jitter keeps nodes from trying all at once.
func (k *keptStream) postpone() {
	k.next = time.Now().Add(k.wait + rand.N(k.wait/2)) //nolint:gosec // G404: spreads nodes, nothing secret
	k.wait = min(2*k.wait, recreateLast)
}

// recreate creates the stream if it still is missing. Several nodes may do so at once: JetStream
// takes their requests, which are the same, for one.
func (s *Server) recreate(ctx context.Context, k *keptStream) {
	out, err := jetstore.ProvisionOwned(ctx, s.js, k.want, false)
	if err != nil {
		k.postpone()
		if k.failed(err) { // once, not at each attempt of a long outage
			s.opts.Logger.Warn("stream cannot be created again; retrying", "stream", k.want.Name, "error", err)
		}
		return
	}
	if out.Action == jetstore.Created {
		k.created = time.Now()
		k.mu.Lock()
		k.recreations++
		k.mu.Unlock()
		s.opts.Logger.Warn("stream created again; the events that it held are lost", "stream", k.want.Name)
	}
	k.found(out)
}
