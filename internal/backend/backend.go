// Package backend opens the parts that a node and an embedding program have behind their HTTP handlers: the
// streams, the feeds over them, the publisher, and the rules of what can be published.
//
// The caller makes the connections to NATS and closes them after the Backend, and runs each feed
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

// lookupTimeout bounds the lookup of one stream, for which a publisher may wait.
const lookupTimeout = 2 * time.Second

// Options configure Open. Main and Streams are needed.
type Options struct {
	// Main carries publishes and requests, Tails what the tails read, Replays what replays read. Tails
	// and Replays may be nil, for Main. The server disconnects a connection that has more than 64 MB
	// waiting, and sends what waits in order: on connections of their own, replays neither delay live
	// events and acknowledgements nor take them along.
	Main, Tails, Replays *nats.Conn
	// Domain and APIPrefix are as in jetstore.Options.
	Domain, APIPrefix string
	// Streams are the streams to read. Several feeds of one stream have one entry.
	Streams []Stream
	// Definitions are used for streams until they have been looked up.
	Definitions []jetstream.StreamConfig
	// Expected is as in publish.Options.
	Expected func(subject string) (stream string)
	// AllSubjects accepts every subject of the streams for publishing, and logs none of those that no
	// feed delivers.
	AllSubjects bool
	// Widened says that identities may grant subjects beyond the templates: every subject of a stream
	// can be delivered then.
	Widened bool
	// WindowEvents and WindowBytes are as in feed.Options.
	WindowEvents, WindowBytes int
	// ReplayBytes is the size of the feeds' common feed.ReplayBudget; its default when zero.
	ReplayBytes int
	Logger      *slog.Logger // nil discards
}

// Stream is one stream and what its feeds deliver of it.
type Stream struct {
	Name string
	// Option is what errors name, such as a configuration key.
	Option string
	// Templates are all subjects that connections receive or may ask for.
	Templates []subject.Template
	// Trace is as in jetstore.Options.
	Trace func(jetstore.Traced) *feed.Trace
}

// Backend is what Open has opened. Its fields are not changed after Open.
type Backend struct {
	JetStream jetstream.JetStream
	Delivery  *delivery.Rules
	Publisher *publish.Publisher
	Budget    *feed.ReplayBudget         // of all feeds together
	Logs      map[string]*jetstore.Store // by stream
	Feeds     map[string]*feed.Feed      // by stream
	main      *nats.Conn
}

// Open opens the streams. It does not block. Errors are those of the options.
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

// openStream gives a stream one tail and window.
func (b *Backend) openStream(opts Options, s Stream, scans *jetstore.ScanQueue) error {
	log, err := jetstore.Open(opts.Tails, jetstore.Options{
		Stream: s.Name, Domain: opts.Domain, APIPrefix: opts.APIPrefix,
		Replays: opts.Replays, Scans: scans, Trace: s.Trace, Logger: opts.Logger, // it names the stream itself
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

// lookUp returns a stream as the server has it.
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

// Close closes the streams, whose feeds must have ended, and the publisher. It blocks for some five
// seconds at most for each stream; see [jetstore.Store.Close].
func (b *Backend) Close() {
	for _, log := range b.Logs {
		log.Close()
	}
	if b.Publisher != nil {
		b.Publisher.Close()
	}
}
