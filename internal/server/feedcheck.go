package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/streamdef"
	"github.com/tidemark/tidemark/internal/subject"
)

const (
	feedCheckEvery   = 2 * time.Second // interval of look-ups of a missing stream
	feedCheckRepeat  = 10 * time.Minute
	feedCheckTimeout = 5 * time.Second
)

// FeedProblem is a part of a feed without effect.
type FeedProblem struct {
	Key  string // key to change, such as feeds.news.subjects
	Text string
}

// Undeliverable returns the subjects of a feed without possible events in its stream.
func (f FeedOptions) Undeliverable(stream jetstream.StreamConfig) (all []FeedProblem) {
	check := func(key string, templates []subject.Template) {
		for _, t := range templates {
			if !delivery.CanStore(stream, t) {
				all = append(all, FeedProblem{"feeds." + f.Name + "." + key, fmt.Sprintf(
					"no event of stream %s has a subject like %q, as it stores %s; correct the subject, feeds.%s.stream, or the subjects of the stream",
					stream.Name, t, strings.Join(delivery.StoredFilters(stream), ", "), f.Name)})
			}
		}
	}
	check("subjects", f.Subjects)
	check("allow", f.Allow)
	return all
}

// checkFeeds looks up the stream of each feed, until it has found all or ctx ends. It logs feeds without a stream,
// at first and every ten minutes, and subjects that a stream cannot have. It logs nothing about a missing stream
// that this node creates.
func (s *Server) checkFeeds(ctx context.Context) {
	var left []string
	for _, f := range s.opts.Feeds {
		if !slices.Contains(left, f.Stream) {
			left = append(left, f.Stream)
		}
	}
	logged := make(map[string]time.Time)
	for {
		left = slices.DeleteFunc(left, func(stream string) bool { return s.checkFeedStream(ctx, stream, logged) })
		if len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(feedCheckEvery):
		}
	}
}

// checkFeedStream reports whether it found the stream. logged has the times of the warnings.
func (s *Server) checkFeedStream(ctx context.Context, name string, logged map[string]time.Time) (found bool) {
	if s.streams.Pending(name) || !s.nats.main.IsConnected() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, feedCheckTimeout)
	defer cancel()
	stream, err := s.backend.JetStream.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if last := logged[name]; last.IsZero() || time.Since(last) >= feedCheckRepeat {
			logged[name] = time.Now()
			s.warnMissing(name)
		}
		return false
	case err != nil: // the tail reports it
		return false
	}
	for _, f := range s.opts.Feeds {
		if f.Stream != name {
			continue
		}
		for _, p := range f.Undeliverable(stream.CachedInfo().Config) {
			s.opts.Logger.Warn("feed: subject cannot occur in the stream; connections never receive it", "key", p.Key, "stream", name, "error", p.Text)
		}
	}
	return true
}

// warnMissing logs the feeds of a stream that does not exist, and the streams that this node defines.
func (s *Server) warnMissing(stream string) {
	var defined []string
	for _, def := range s.opts.Streams {
		defined = append(defined, def.Name)
	}
	for _, f := range s.opts.Feeds {
		if f.Stream == stream {
			s.opts.Logger.Warn("feed: stream does not exist; connections receive nothing until it is created",
				"key", "feeds."+f.Name+".stream", "stream", stream, "defined", strings.Join(defined, ","),
				"remedy", "correct the name, or create the stream (`nats stream add`, or a definition in streams.dir)")
		}
	}
}

// checkDefinitions returns an error if a feed cannot be served from the definition of its stream. Streams without
// a definition here are checked when their tail first reads them.
func (s *Server) checkDefinitions(context.Context) error {
	var errs []error
	for _, def := range s.opts.Streams {
		for _, f := range s.opts.Feeds {
			if f.Stream != def.Name {
				continue
			}
			if err := streamdef.Check(def); err != nil {
				errs = append(errs, fmt.Errorf("feeds.%s.stream: %w", f.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}
