package jetstore

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jsapi"
)

// Options configure a Store. Stream is required; zero values of the others work.
type Options struct {
	// Stream is the name of the stream.
	Stream string
	// Domain is the JetStream domain of the stream, and APIPrefix its API where an account
	// imports it under another subject ("$JS.API" when empty). At most one may be set.
	Domain, APIPrefix string
	// Replays is the connection over which replays get their events; the one of Open when nil. On
	// another one they do not delay the tail, and the tail survives when the server disconnects it.
	Replays *nats.Conn
	// Logger receives retries and event types that are dropped, at a limited rate, each line with the
	// field stream; nil discards.
	Logger *slog.Logger
	// Trace returns the feed.Trace of an event that Follow yields. It is called for events with a sampled
	// traceparent (W3C Trace Context), may return nil, and must not block. Nil reads no header.
	Trace func(Traced) *feed.Trace

	// MaxCreates bounds the consumers of replays that are being created at once; 64 when
	// zero. Others queue, first come, first served. The server drops its whole queue of API
	// requests when 10,000 are in it, so a reconnect storm must be bounded here.
	MaxCreates int
	// Scans admits the consumers of replays of the latest event of each of more than
	// feed.FewSubjects subjects, in place of MaxCreates, and the counting of subjects. The stores of
	// one node share it; nil creates one.
	Scans *ScanQueue
	// NamePrefix begins the names of consumers; "tidemark" when empty, which gives
	// tidemark-tail-…, tidemark-replay-… and tidemark-check-….
	NamePrefix string
	// InactiveThreshold is how long the server keeps a consumer without pull requests; 30 s
	// when zero. A reader that pauses longer creates a new one.
	InactiveThreshold time.Duration

	// Batch and BatchBytes bound what one Reader.Next returns, whatever Reader.Request names; 1024
	// events and 1 MiB when zero. An event that is larger than BatchBytes comes alone.
	Batch, BatchBytes int
	// FollowBatch and FollowBytes bound one request of Follow, and so what waits in
	// memory for its caller; 1000 events and 8 MiB when zero.
	FollowBatch, FollowBytes int

	// Heartbeat is the interval of heartbeats of an idle consumer; 400 ms when zero, at least
	// 10 ms. A consumer is replaced after two and a half intervals without one.
	Heartbeat time.Duration
	// RequestTimeout bounds one API request, which is then retried; 4 s when zero. A
	// consumer of a replay is requested once more under the same name, because the server may
	// still be creating it.
	RequestTimeout time.Duration
	// MaxDeleted is the number of interior deletes up to which HasDeleted fetches their list;
	// 20,000 when zero. Beyond it, HasDeleted returns true.
	MaxDeleted int
}

func (o Options) resolve() (Options, error) {
	if err := jsapi.CheckName("stream", o.Stream); err != nil {
		return o, err
	}
	o.NamePrefix = cmp.Or(o.NamePrefix, "tidemark")
	if err := jsapi.CheckName("consumer name prefix", o.NamePrefix); err != nil {
		return o, err
	}
	prefix, err := jsapi.Prefix(o.Domain, o.APIPrefix)
	if err != nil {
		return o, err
	}
	o.APIPrefix = prefix
	if o.Scans == nil {
		o.Scans = NewScanQueue()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("stream", o.Stream)
	return o.withDefaults(), nil
}

func (o Options) withDefaults() Options {
	o.MaxCreates = cmp.Or(max(o.MaxCreates, 0), 64)
	o.InactiveThreshold = cmp.Or(max(o.InactiveThreshold, 0), 30*time.Second)
	o.Batch = cmp.Or(max(o.Batch, 0), 1024)
	o.BatchBytes = cmp.Or(max(o.BatchBytes, 0), 1<<20)
	o.FollowBatch = cmp.Or(max(o.FollowBatch, 0), 1000)
	o.FollowBytes = cmp.Or(max(o.FollowBytes, 0), 8<<20)
	o.Heartbeat = max(cmp.Or(o.Heartbeat, 400*time.Millisecond), 10*time.Millisecond)
	o.RequestTimeout = cmp.Or(max(o.RequestTimeout, 0), 4*time.Second)
	o.MaxDeleted = cmp.Or(max(o.MaxDeleted, 0), 20_000)
	return o
}
