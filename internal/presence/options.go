package presence

import (
	"cmp"
	"log/slog"
	"time"
)

// Options configure a Presence. Node is needed.
type Options struct {
	// Node is this node's name; no other node may have it at the same time. See CheckNode.
	Node string
	// Bucket is the key-value bucket; TIDEMARK_PRESENCE when empty. It is created when it is
	// missing, in memory, as what it holds is of no use once the nodes have gone. One that is
	// there is used as it is, if its values have a lifetime.
	Bucket string
	// TTL is the lifetime of a bucket that is created; 60 s when zero. What counts is the
	// bucket's.
	TTL time.Duration
	// Replicas of a bucket that is created; 1 when zero.
	Replicas int
	// Interval is the least pause between two rounds of writing; 1 s when zero.
	Interval time.Duration
	// BytesPerSecond bounds what is written on average; 1 MiB when zero.
	BytesPerSecond int

	// Events is the prefix of the subjects to which connects and disconnects are published;
	// empty for none. See Event.
	Events string
	// EventQueue is how many events may wait to be published; 4096 when zero. What comes
	// beyond is dropped and counted.
	EventQueue int

	Logger *slog.Logger // nil discards
}

func (o Options) withDefaults() Options {
	o.Bucket = cmp.Or(o.Bucket, "TIDEMARK_PRESENCE")
	o.TTL = cmp.Or(o.TTL, time.Minute)
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.BytesPerSecond = cmp.Or(o.BytesPerSecond, 1<<20)
	o.EventQueue = cmp.Or(o.EventQueue, 4096)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
