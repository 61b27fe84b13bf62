package feedhttp

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/auth"
)

// SubscribeOptions configure a Subscribe handler. Feed and Selection are needed.
type SubscribeOptions struct {
	Feed   *feed.Feed
	Stream string // the stream's name, for tidemark.open
	Name   string // the feed's name, for ConnInfo
	Selection
	// ReplayFromStore reads the events between the start and now from the store, also those in the window;
	// see [feed.SubscribeOptions].
	ReplayFromStore bool
	// Identify identifies the caller; nil treats every caller as anonymous.
	Identify auth.Source
	// Tag returns the tag of an account. tidemark.open has it, and a client that resumes sends it
	// (?identity=), so that the position of another account is not used. Nil disables tags.
	Tag Tag
	// Check, if set, is called once more when Revoke can find a connection, so that a revocation
	// in between closes it.
	Check func(auth.Grant) error

	// Engine writes the responses; nil uses a goroutine for each.
	Engine *engine.Engine
	// Admission counts connections, and bounds their number and their rate; nil is unlimited. Handlers
	// may share one.
	Admission *Admission
	// Observer, if set, is notified of connections.
	Observer Observer
	// Replayed, if set, receives each replay at its end. It returns the trace of the replay, or the zero
	// value: log lines have it if the client's request had none. It must return at once, as locks are held.
	Replayed func(Replay) feed.TraceContext
	// Refused, if set, receives each request that is refused for its identity or for a limit. It must not
	// block.
	Refused func(RefusedRequest)

	// Retry is the delay before clients reconnect, each with a jitter of ±50 %; 1 s when zero. Every
	// connection begins with it, for the case that the node dies.
	Retry time.Duration
	// RetryLater is the delay in the tidemark.close for overload, a limit or a revocation; 20 s when
	// zero.
	RetryLater time.Duration
	// Heartbeat is the longest silence on a connection; 15 s when zero. Proxies close silent
	// connections, many after 60 s.
	Heartbeat time.Duration
	// WriteTimeout is how long a client may accept no bytes at all; 30 s when zero.
	WriteTimeout time.Duration
	// MaxAge closes a connection after this time, less a jitter of 10 %; never when zero.
	MaxAge time.Duration
	// MaxIdle closes a connection without events after this time; never when zero.
	MaxIdle time.Duration

	Logger *slog.Logger // nil discards
}

func (o SubscribeOptions) withDefaults() SubscribeOptions {
	o.Retry = cmp.Or(o.Retry, time.Second)
	o.RetryLater = cmp.Or(o.RetryLater, 20*time.Second)
	o.Heartbeat = cmp.Or(o.Heartbeat, 15*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 30*time.Second)
	if o.Identify == nil {
		o.Identify = auth.First()
	}
	if o.Admission == nil {
		o.Admission = NewAdmission(Limits{})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
