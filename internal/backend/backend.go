// Package backend opens the common parts of a node and an embedding program: the streams, their feeds, the
// publisher, and the rules for publishing.
//
// The caller creates the connections to NATS, and closes them after the Backend. It runs each feed
// ([feed.Feed.Run]) until it closes the Backend. Open does not wait for NATS or for a stream.
package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/publish"
	"github.com/tidemark/tidemark/internal/subject"
)

// lookupTimeout limits the lookup of one stream. A publisher may wait for it.
const lookupTimeout = 2 * time.Second

// Options configures Open. Main and Streams are required.
type Options struct {
	// Main is the connection for publishes and requests, Tails the one for tails, and Replays the one for
	// replays. Tails and Replays may be nil to use Main. The server sends the messages of a connection in
	// order, and disconnects a connection with more than 64 MB of unsent messages. With separate
	// connections, replays cannot delay live events and acknowledgements, or disconnect them.
	Main, Tails, Replays *nats.Conn
	// Domain and APIPrefix are as in jetstore.Options.
	Domain, APIPrefix string
	// Streams contains the streams to read. Feeds of the same stream share one entry.
	Streams []Stream
	// Definitions contains the configurations of streams until they have been looked up.
	Definitions []jetstream.StreamConfig
	// Expected is as in publish.Options.
	Expected func(subject string) (stream string)
	// AllSubjects accepts every subject of the streams for publishing, and disables the messages about
	// undeliverable subjects.
	AllSubjects bool
	// Widened means that identities may grant subjects beyond the templates. Then every subject of a
	// stream can be delivered.
	Widened bool
	// WindowEvents and WindowBytes are as in feed.Options.
	WindowEvents, WindowBytes int
	// ReplayBytes is the size of the common feed.ReplayBudget; its default if zero.
	ReplayBytes int
	Logger      *slog.Logger // nil discards
}

// Stream is a stream with the subjects of its feeds.
type Stream struct {
	Name string
	// Option is the name used in errors, for example a configuration key.
	Option string
	// Templates contains the subjects that connections receive or may request.
	Templates []subject.Template
	// Trace is as in jetstore.Options.
	Trace func(jetstore.Traced) *feed.Trace
}

// Backend contains the opened parts. Its fields do not change after Open.
type Backend struct {
	JetStream jetstream.JetStream
	Delivery  *delivery.Rules
	Publisher *publish.Publisher
	Budget    *feed.ReplayBudget         // of all feeds together
	Logs      map[string]*jetstore.Store // by stream
	Feeds     map[string]*feed.Feed      // by stream
	main      *nats.Conn
}

// Open opens the streams. It does not block. It returns an error for invalid options.
func Open(opts Options) (*Backend, error) {
	opts.Tails = cmp.Or(opts.Tails, opts.Main)
	opts.Replays = cmp.Or(opts.Replays, opts.Tails)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Backend{
		main: opts.Main, Budget: feed.NewReplayBudget(opts.ReplayBytes),
		Logs: make(map[string]*jetstore.Store), Feeds: make(map[string]*feed.Feed),
	}
	if err := b.open(opts); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Backend) open(opts Options) (err error) {
	if b.JetStream, err = jsapi.New(opts.Main, opts.Domain, opts.APIPrefix); err != nil {
		return err
	}
	templates := make(map[string][]subject.Template)
	var names []string
	for _, s := range opts.Streams {
		templates[s.Name] = s.Templates
		names = append(names, s.Name)
	}
	b.Delivery = delivery.New(delivery.Options{
		Templates: templates, AllSubjects: opts.AllSubjects || opts.Widened,
		Definitions: opts.Definitions, Lookup: b.lookUp,
	})
	if b.Publisher, err = publish.New(opts.Main, publish.Options{
		Domain: opts.Domain, APIPrefix: opts.APIPrefix,
		Streams: names, Expected: opts.Expected, Routes: b.Delivery.Routes, Misrouted: b.Delivery.Outdated,
	}); err != nil {
		return err
	}
	scans := jetstore.NewScanQueue()
	for _, s := range opts.Streams {
		if err := b.openStream(opts, s, scans); err != nil {
			return fmt.Errorf("%s: %w", s.Option, err)
		}
	}
	return nil
}

// openStream opens a stream with its tail and window.
func (b *Backend) openStream(opts Options, s Stream, scans *jetstore.ScanQueue) error {
	log, err := jetstore.Open(opts.Tails, jetstore.Options{
		Stream: s.Name, Domain: opts.Domain, APIPrefix: opts.APIPrefix,
		Replays: opts.Replays, Scans: scans, Trace: s.Trace, Logger: opts.Logger, // the store adds the name of the stream
	})
	if err != nil {
		return err
	}
	deliverable := b.Delivery.Stored(s.Name)
	if opts.Widened {
		deliverable = nil
	}
	b.Logs[s.Name] = log
	b.Feeds[s.Name] = feed.New(log, feed.Options{
		WindowEvents: opts.WindowEvents, WindowBytes: opts.WindowBytes,
		Deliverable: deliverable, QuietUndeliverable: opts.AllSubjects,
		Replays: b.Budget, Logger: opts.Logger.With("stream", s.Name),
	})
	return nil
}

// lookUp returns the configuration of a stream on the server.
func (b *Backend) lookUp(ctx context.Context, name string) (jetstream.StreamConfig, error) {
	if !b.main.IsConnected() {
		return jetstream.StreamConfig{}, errors.New("no connection to NATS")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	stream, err := b.JetStream.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return stream.CachedInfo().Config, nil
}

// Close closes the streams and the publisher. The feeds must have ended. It blocks for at most about five
// seconds per stream; see [jetstore.Store.Close].
func (b *Backend) Close() {
	for _, log := range b.Logs {
		log.Close()
	}
	if b.Publisher != nil {
		b.Publisher.Close()
	}
}
