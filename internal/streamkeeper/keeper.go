// Package streamkeeper creates the streams of a node's definitions, and creates them again when they are lost at
// run time.
//
// A stream that is missing at the start is created. A stream that differs from its definition is reported, and changed
// where Options.Apply is set. A stream that is lost later, such as one in memory whose NATS server was restarted,
// is created again if a node created it before: it has the mark of [streamdef.ProvisionOwned].
//
// # Guarantees
//
//   - That JetStream answers "stream not found" (10059) is the only evidence of a loss.
//   - A stream that an operator made is never created again, also not where it replaced a stream of
//     a node: the incarnation that was lost must have had the mark.
//   - Several nodes may keep the same streams. Their attempts have a growing pause, so that they do not work
//     against a program that deletes the stream.
package streamkeeper

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/lifecycle"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/streamdef"
)

// retryPause is how long a failed attempt waits; attemptTimeout bounds one attempt.
const (
	retryPause     = 500 * time.Millisecond
	attemptTimeout = 10 * time.Second
)

// Options configure New.
type Options struct {
	Definitions []jetstream.StreamConfig
	// Apply changes streams that differ from their definitions.
	Apply  bool
	Logger *slog.Logger
}

// Keeper keeps the streams of definitions. Make it with New; its methods are safe for concurrent use.
type Keeper struct {
	opts    Options
	streams map[string]*stream // by name; not changed after New
	pending atomic.Pointer[string]

	js    jetstream.JetStream   // since Run
	feeds map[string]*feed.Feed // by stream
}

// New returns a Keeper. Run begins its work.
func New(opts Options) *Keeper {
	k := &Keeper{opts: opts, streams: make(map[string]*stream, len(opts.Definitions))}
	for _, want := range opts.Definitions {
		k.streams[want.Name] = &stream{want: want, pending: true, wait: recreateFirst}
	}
	waiting := "the streams were not looked at yet"
	k.pending.Store(&waiting)
	return k
}

// Run creates the streams as soon as NATS permits it, calls ready, and keeps the streams. It blocks until ctx
// ends. Feeds are those of the node by their stream.
func (k *Keeper) Run(ctx context.Context, js jetstream.JetStream, feeds map[string]*feed.Feed, ready func(context.Context)) {
	k.js, k.feeds = js, feeds
	g := lifecycle.New(ctx)
	defer func() { _ = g.Stop() }()
	for _, want := range k.opts.Definitions {
		if !k.provision(ctx, want) {
			return
		}
		g.Go(func(ctx context.Context) error {
			k.keep(ctx, k.streams[want.Name])
			return nil
		})
	}
	ready(ctx)
	k.pending.Store(nil)
	<-ctx.Done()
}

// provision repeats provisionOnce until it succeeds; it reports false when ctx has ended.
func (k *Keeper) provision(ctx context.Context, want jetstream.StreamConfig) bool {
	for logged := ""; ; {
		err := k.provisionOnce(ctx, want)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		why := natsconn.Explain(err).Error()
		k.pending.Store(&why)
		if why != logged && !natsconn.NotConnected(err) { // once, not at each attempt of a long outage
			k.opts.Logger.Warn("stream: cannot be created or checked; retrying", "stream", want.Name, "error", err)
			logged = why
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryPause):
		}
	}
}

func (k *Keeper) provisionOnce(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	out, err := streamdef.ProvisionOwned(ctx, k.js, want, k.opts.Apply)
	log := k.opts.Logger.With("stream", want.Name)
	for _, d := range out.Differences {
		log.Warn("stream: differs from its definition", "field", d.Field, "want", d.Want, "have", d.Have, "applied", out.Action == streamdef.Applied)
	}
	if err != nil {
		return err
	}
	k.streams[want.Name].found(out)
	switch out.Action {
	case streamdef.Created, streamdef.Applied:
		log.Info("stream: " + string(out.Action))
	case streamdef.Differs:
		log.Warn("stream: differs from its definition; used unchanged", "remedy", "set streams.apply, or run `tidemark stream apply`")
	}
	return nil
}

// Expected returns the stream of a subject, if the node creates it where it is missing. See publish.Options.
func (k *Keeper) Expected(subject string) (stream string) {
	for name, s := range k.streams {
		if s.stores(subject) {
			return name
		}
	}
	return ""
}

// Pending reports whether a stream has a definition, and was neither found nor created yet.
func (k *Keeper) Pending(name string) bool {
	s := k.streams[name]
	return s != nil && s.isPending()
}

// Err reports missing streams. They were not provisioned yet, or are lost and not created
// again yet.
func (k *Keeper) Err() error {
	if why := k.pending.Load(); why != nil {
		return errors.New(*why)
	}
	var missing []string
	for _, s := range k.streams {
		if why := s.whyMissing(); why != "" {
			missing = append(missing, why)
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return errors.New(strings.Join(missing, "; "))
}

// Recreations returns how often each stream was created again since the start.
func (k *Keeper) Recreations() map[string]uint64 {
	counts := make(map[string]uint64, len(k.streams))
	for name, s := range k.streams {
		s.mu.Lock()
		counts[name] = s.recreations
		s.mu.Unlock()
	}
	return counts
}
