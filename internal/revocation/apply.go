package revocation

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/pkg/auth"
)

// Options configure New. Remembered, Tags and Disconnect are needed.
type Options struct {
	// Remembered is the list to check every request against; its Keep is the age of stored revocations.
	Remembered *auth.Revocations
	// Tags gets the key of the stream, which all nodes have, unless TagKeySet.
	Tags      *auth.Tagger
	TagKeySet bool
	// Disconnect closes the connections that a revocation made at a time is about, and returns their number.
	Disconnect func(rev auth.Revocation, at time.Time) int
	// Domain and APIPrefix are as in jetstore.Options, Replicas of the stream that New's node creates.
	Domain, APIPrefix string
	Replicas          int
	// ChangeStream lets the node extend the age of a stream that deletes revocations too early.
	ChangeStream bool
	Logger       *slog.Logger
}

// Follower applies revocations. Make it with New; its methods are safe for concurrent use.
type Follower struct {
	opts  Options
	state state

	mu               sync.Mutex    // messages come from the stream and from the subscription
	applied, invalid atomic.Uint64 // messages
	invalidLog       logLimit
	fullLog          logLimit
}

// New returns a Follower. Subscribe and Run begin its work.
func New(opts Options) *Follower { return &Follower{opts: opts} }

// source is how a message on Subject reached the node. Most do twice: at once by the
// subscription, and when they are stored by the stream, which counts them.
type source uint8

const (
	notStored         source = iota // by the subscription alone
	published                       // by the subscription; the stream follows
	fromStream                      // by the stream
	fromStreamAtStart               // by the stream, from before it was followed
)

// Subscribe applies published revocations at once. It works also where the stream is missing, full, or
// cannot be read by this node. Call stop before the connection is closed.
func (f *Follower) Subscribe(nc *nats.Conn) (stop func(), err error) {
	sub, err := nc.Subscribe(Subject, func(m *nats.Msg) {
		from := published
		size := m.Size() - len(m.Subject) - len(m.Reply)
		if now, _ := f.state.get(); now != followed || size > maxSize {
			from = notStored
		}
		f.apply(m.Data, time.Now(), from)
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", Subject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // fails only when the connection is closed
}

// apply applies a message that was published at a time.
func (f *Follower) apply(message []byte, at time.Time, from source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	rev, err := auth.ParseRevocation(message)
	if err != nil {
		f.noteInvalid(now, err, from)
		return
	}
	if age := now.Sub(at); age > 0 && age < maxSkew {
		at = now
	}
	dropped := f.opts.Remembered.Add(rev, at) // first, so that no connection is accepted after Disconnect
	n := f.opts.Disconnect(rev, at)
	if from != published {
		f.applied.Add(1)
	}
	switch {
	case n > 0 || from == notStored:
		f.opts.Logger.Info("revocation: applied", "user", rev.User, "token", rev.Token, "connections", n)
	case from == fromStream:
		f.opts.Logger.Info("revocation: stored", "user", rev.User, "token", rev.Token)
	}
	if dropped == 0 {
		return
	}
	if total, ok := f.fullLog.allow(now, dropped); ok {
		f.opts.Logger.Error("revocation: list full; the oldest are evicted; their tokens are accepted until they expire",
			"evicted", total, "revocations", f.opts.Remembered.Status().Remembered, "remedy", "shorten the life of tokens, or revoke fewer")
	}
}

func (f *Follower) noteInvalid(now time.Time, err error, from source) {
	if from == published {
		return
	}
	f.invalid.Add(1)
	if n, ok := f.invalidLog.allow(now, 1); ok {
		f.opts.Logger.Warn("revocation: invalid message; ignored", "subject", Subject, "count", n, "error", err)
	}
}

// Counts returns how many messages were applied, and how many were invalid.
func (f *Follower) Counts() (applied, invalid uint64) { return f.applied.Load(), f.invalid.Load() }

// Denied reports whether a violation of permissions is about revocations. It stops the reader, which tries again
// later. Deleting a consumer is not about it. It may be called at any time.
func (f *Follower) Denied(err error) bool { return f.state.denied(err) }

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
