package revocation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natsconn"
)

const (
	// deniedRetry is how long a node that cannot store revocations waits before it tries again.
	deniedRetry = time.Minute
	// maxSkew is the age up to which a revocation counts as made now: the clocks of NATS and of
	// this node may differ.
	maxSkew = 5 * time.Second
	// retryPause is how long the reader waits after an error; openTimeout bounds one attempt to open the stream.
	retryPause  = 500 * time.Millisecond
	openTimeout = 10 * time.Second
)

// phase is the source of a node's revocations.
type phase uint8

const (
	waiting  phase = iota // the stream is not read yet; the node is not ready
	followed              // all that are stored are applied, and later ones follow
	unstored              // the stream cannot exist or be read: only those published now are applied
)

// state is the phase of a node. Its zero value is waiting.
//
//	waiting ──read to its end──▶ followed ──stream deleted──▶ waiting
//	waiting ──denied, refused──▶ unstored ──reconnect, or a minute──▶ (tried again)
type state struct {
	mu        sync.Mutex
	phase     phase
	detail    string // why it is not followed, or out of reach; empty where all is well
	interrupt context.CancelCauseFunc
}

func (r *state) set(phase phase, detail string) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed = r.phase != phase || r.detail != detail
	r.phase, r.detail = phase, detail
	return changed
}

func (r *state) get() (phase, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase, r.detail
}

// begin returns a context that denied ends.
func (r *state) begin(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupt = cancel
	return ctx, cancel
}

// deniedError reports a permission that is missing.
type deniedError struct{ error }

// denied takes violations of permissions that reading the stream needs. To delete a consumer is not one.
func (r *state) denied(err error) (known bool) {
	text := err.Error()
	if !strings.Contains(text, "."+Stream) || strings.Contains(text, "CONSUMER.DELETE") {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.interrupt != nil {
		r.interrupt(deniedError{err})
	}
	return true
}

// Run applies the stored revocations, and those stored later. It blocks until ctx ends.
func (f *Follower) Run(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) {
	for {
		reconnects := nc.Stats().Reconnects
		err := f.read(ctx, nc, js)
		if ctx.Err() != nil {
			return
		}
		if !f.noteFailure(err) {
			_ = backoff.Pause(ctx, retryPause, nil) // the loop ends with ctx
			continue
		}
		// Permissions change with a new connection.
		_, denied := errors.AsType[deniedError](err)
		for start := time.Now(); ctx.Err() == nil && nc.Stats().Reconnects == reconnects; {
			if _ = backoff.Pause(ctx, retryPause, nil); !denied && time.Since(start) >= deniedRetry {
				break
			}
		}
	}
}

// noteFailure records why the stream is not followed, and reports whether it cannot be.
func (f *Follower) noteFailure(err error) (permanent bool) {
	_, denied := errors.AsType[deniedError](err)
	permanent = denied || errors.Is(err, errOtherStream) || isPermanent(err)
	if !permanent {
		if f.state.set(waiting, natsconn.Explain(err).Error()) && !natsconn.NotConnected(err) {
			f.opts.Logger.Warn("revocation: stream unavailable; retrying", "stream", Stream, "error", err)
		}
		return false
	}
	if f.state.set(unstored, err.Error()) {
		f.opts.Logger.Warn("revocation: stream cannot be created or read; revocations are lost when this node restarts",
			"stream", Stream, "error", err, "remedy", "permit the node's user to create and read the stream")
	}
	return true
}

// isPermanent reports that JetStream refuses the stream for a reason that does not pass by itself.
func isPermanent(err error) bool {
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

// read blocks while the stream is followed, and returns why it is not any more.
func (f *Follower) read(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) (err error) {
	ctx, cancel := f.state.begin(ctx)
	defer cancel(nil)
	defer func() {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
	}()
	opening, opened := context.WithTimeout(ctx, openTimeout)
	defer opened()
	if err := f.openStream(opening, js); err != nil {
		return err
	}
	store, err := jetstore.Open(nc, jetstore.Options{Stream: Stream, Domain: f.opts.Domain, APIPrefix: f.opts.APIPrefix, FollowBytes: 1 << 20, Logger: f.opts.Logger})
	if err != nil {
		return err
	}
	defer store.Close()
	state, err := store.State(opening)
	if err != nil {
		return err
	}
	return f.applyStored(ctx, store, state, cancel)
}

// applyStored reads the stream from its beginning, and then follows it.
func (f *Follower) applyStored(ctx context.Context, store *jetstore.Store, state feed.State, cancel context.CancelCauseFunc) error {
	read := func() {
		if f.state.set(followed, "") {
			f.opts.Logger.Info("revocation: stream read", "stream", Stream, "revocations", f.opts.Remembered.Status().Remembered)
		}
	}
	if state.FirstSeq > state.LastSeq || state.LastSeq == 0 {
		read()
	}
	contact := func(err error) {
		switch {
		case errors.Is(err, feed.ErrNoStream):
			cancel(fmt.Errorf("stream %s: %w", Stream, err))
		case err != nil:
			f.state.lost(err)
		default:
			f.state.lost(nil)
		}
	}
	for ev, err := range store.Follow(ctx, feed.FollowOptions{From: max(state.FirstSeq, 1), Epoch: state.Epoch, Created: state.Created, Contact: contact}) {
		if err != nil {
			return err // the stream was restored, or purged: it is read from its beginning again
		}
		if !ev.Deleted {
			from := fromStream
			if ev.Seq <= state.LastSeq {
				from = fromStreamAtStart
			}
			f.apply(ev.Data, ev.Time, from)
		}
		if ev.Seq == state.LastSeq {
			read()
		}
	}
	return nil
}

// lost records that a stream that is followed is out of reach, or in reach again (nil).
func (r *state) lost(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != followed {
		return
	}
	r.detail = ""
	if err != nil {
		r.detail = err.Error()
	}
}

// Check returns why revocations may be missed, or nil. A node is not ready until the stream was read once, or is known to be
// unreadable; a ready node with an error serves, and may miss revocations.
func (f *Follower) Check() (ready bool, err error) {
	now, detail := f.state.get()
	switch {
	case now == waiting && detail == "":
		return false, errors.New("the stream is not read yet")
	case now == waiting:
		return false, errors.New("the stream is not read yet: " + detail)
	case now == unstored:
		return true, errors.New("not stored, and lost when this node restarts: " + detail)
	case detail != "":
		return true, errors.New("out of reach: " + detail)
	}
	return true, nil
}

// Waiting reports whether the stream has not been read yet, and may still be.
func (f *Follower) Waiting() bool {
	now, _ := f.state.get()
	return now == waiting
}
