package presence

import (
	"cmp"
	"log/slog"
	"time"
)

// Options configures a Presence. Node is required.
type Options struct {
	// Node is this node's name. It must be unique among the running nodes. See CheckNode.
	Node string
	// Bucket is the name of the key-value bucket; TIDEMARK_PRESENCE if empty. A missing bucket is created
	// with memory storage, because its values are useless without running nodes. An existing bucket is not
	// changed. Its values must have a lifetime.
	Bucket string
	// TTL is the lifetime of the values of a new bucket; 60 s if zero.
	TTL time.Duration
	// Replicas is the number of replicas of a new bucket; 1 if zero.
	Replicas int
	// Interval is the minimum pause between two rounds of writing; 1 s if zero.
	Interval time.Duration
	// BytesPerSecond limits the average write rate; 1 MiB if zero.
	BytesPerSecond int

	// Events is the prefix of the subjects of events; empty for no events. See Event.
	Events string
	// EventQueue is the maximum number of queued events; 4096 if zero. Further events are dropped and
	// counted.
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
