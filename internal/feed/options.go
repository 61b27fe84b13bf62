package feed

import (
	"cmp"
	"log/slog"
)

// Options configure a Feed. The zero value works.
type Options struct {
	// WindowEvents and WindowBytes bound the recent frames kept in memory; 65,536 events
	// and 64 MiB when zero. Bytes are an estimate of the memory of encoded frames.
	WindowEvents, WindowBytes int

	// NoPreload starts with an empty window. By default the window is filled from the store
	// first, so that the reconnect storm after a restart is served from memory.
	NoPreload bool

	// MaxPending bounds the frames that wait for one live subscription; 128 when zero.
	// MaxPendingBytes bounds their size; 1 MiB when zero. One frame may always wait.
	MaxPending, MaxPendingBytes int

	// Deliverable reports whether a subscription can match a subject. The feed counts events for
	// which it is false (Status.Undeliverable), and logs one of them at most once a minute. It is
	// called by the tail, for events that no subscription matched, and must not block. Nil counts
	// nothing.
	Deliverable func(subject string) bool
	// QuietUndeliverable counts without logging.
	QuietUndeliverable bool
	// Replays bounds what replays request and hold. Feeds of one node share it. Nil gives the feed one
	// of its own, of DefaultReplayBytes.
	Replays *ReplayBudget

	// Logger receives gaps, resets and outages; nil discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.WindowEvents = cmp.Or(o.WindowEvents, 65_536)
	o.WindowBytes = cmp.Or(o.WindowBytes, 64<<20)
	o.MaxPending = cmp.Or(o.MaxPending, 128)
	o.MaxPendingBytes = cmp.Or(o.MaxPendingBytes, 1<<20)
	if o.Replays == nil {
		o.Replays = NewReplayBudget(0)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
