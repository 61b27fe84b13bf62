package tidemark

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/backend"
	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/streamdef"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/internal/testopen"
)

// ErrStreamNotFound reports that the stream of [Open] does not exist. Open wraps it.
var ErrStreamNotFound = errors.New("the stream does not exist")

// openTimeout bounds how long Open waits for JetStream where its context has no deadline.
const openTimeout = 10 * time.Second

// NATSOptions returns options for the NATS connections of a feed. With them a connection
//
//   - reconnects without a limit of time (nats.go gives up after two minutes by default),
//   - detects a server that has stopped within 1.5 s,
//   - and buffers no publish during an outage.
//
// Put options that should differ after them.
func NATSOptions() []nats.Option { return natsconn.Resilience("tidemark") }

// Open opens a feed of a stream on nc. The caller owns nc, and closes it after the Feed.
//
//   - It blocks until JetStream has answered about the stream: until ctx ends, for ten seconds at
//     most where ctx has no deadline. With Options.WaitForStream it does not block. It does not wait for
//     the window to be filled; connections do.
//   - The Feed does not end with ctx. Call [Feed.Close].
//   - Errors name every option to change, or wrap [ErrStreamNotFound], or give the reason why JetStream
//     was not reached.
//
// Open a stream once in a program: each Feed reads it and has a window of its own.
func Open(ctx context.Context, nc *nats.Conn, opts Options) (*Feed, error) {
	c, err := opts.resolve()
	if nc == nil || nc.IsClosed() {
		err = errors.Join(errors.New("nc: a feed needs an open connection to NATS, which stays open until the feed is closed"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("tidemark: %w", err)
	}
	if most := nc.Opts.MaxReconnect; !nc.Opts.AllowReconnect || most >= 0 {
		c.Logger.Warn("nats: connection has a limit of reconnects; a long outage closes it", "reconnects", most, "remedy", "make it with tidemark.NATSOptions()")
	}
	b, err := backend.Open(backend.Options{
		Main: nc, Tails: c.TailConn, Replays: c.ReplayConn, Domain: c.Domain, APIPrefix: c.APIPrefix,
		Streams:      []backend.Stream{{Name: c.Stream, Option: "Options.Stream", Templates: c.templates()}},
		WindowEvents: c.Window.Events, WindowBytes: c.Window.Bytes, ReplayBytes: c.Limits.ReplayBytes,
		Logger: c.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("tidemark: %w", err)
	}
	if !c.WaitForStream {
		if err := c.lookUp(ctx, b.JetStream); err != nil {
			b.Close()
			return nil, fmt.Errorf("tidemark: %w", err)
		}
		b.Delivery.Refresh(ctx)
	}
	f := newFeed(c, store{events: b.Feeds[c.Stream], publisher: b.Publisher, accept: b.Delivery.Check, duplicateWindow: b.Publisher.DuplicateWindow, close: b.Close})
	if c.WaitForStream {
		f.onceReady(b.Delivery.Refresh)
	}
	return f, nil
}

// lookUp checks that the stream is there, and that connections can receive events of it.
func (c config) lookUp(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, c.Stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("Options.Stream: %w: %s; create it (with CreateStream of nats.go's package jetstream, or `nats stream add`), correct the name, or set Options.WaitForStream", ErrStreamNotFound, c.Stream)
	case err != nil:
		return fmt.Errorf("look up stream %s: %w; set Options.WaitForStream to start without NATS", c.Stream, err)
	}
	info := stream.CachedInfo()
	if err := streamdef.Check(info.Config); err != nil {
		return fmt.Errorf("Options.Stream: %w", err)
	}
	return c.checkSubjects(info.Config)
}

// checkSubjects reports subjects that no event of a stream can have.
func (c config) checkSubjects(stream jetstream.StreamConfig) error {
	var errs []error
	check := func(name string, templates []subject.Template) {
		for i, t := range templates {
			if !delivery.CanStore(stream, t) {
				errs = append(errs, fmt.Errorf("%s[%d]: no event of stream %s has a subject like %q; its subjects are %s", name, i, stream.Name, t, strings.Join(delivery.StoredFilters(stream), ", ")))
			}
		}
	}
	check("Options.Subjects", c.selection.Defaults)
	check("Options.Allow", c.selection.Allow)
	return errors.Join(errs...)
}

// Package tidemarktest opens feeds of streams in memory.
func init() {
	testopen.Feed = func(log feed.Store, publisher feed.Publisher, opts any) (any, error) {
		c, err := opts.(Options).resolve()
		if err != nil {
			return nil, fmt.Errorf("tidemark: %w", err)
		}
		stream := jetstream.StreamConfig{Name: c.Stream, Subjects: []string{">"}}
		rules := delivery.New(delivery.Options{
			Templates:   map[string][]subject.Template{c.Stream: c.templates()},
			Definitions: []jetstream.StreamConfig{stream},
			Lookup:      func(context.Context, string) (jetstream.StreamConfig, error) { return stream, nil },
		})
		events := feed.New(log, feed.Options{
			WindowEvents: c.Window.Events, WindowBytes: c.Window.Bytes,
			Replays: feed.NewReplayBudget(c.Limits.ReplayBytes), Logger: c.Logger,
		})
		return newFeed(c, store{events: events, publisher: publisher, accept: rules.Check, close: func() {}}), nil
	}
}
