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
	"github.com/tidemark/tidemark/internal/subject"
)

const (
	feedCheckEvery   = 2 * time.Second // how often a stream is looked up that was not found yet
	feedCheckRepeat  = 10 * time.Minute
	feedCheckTimeout = 5 * time.Second
)

// FeedProblem is a part of a feed that has no effect.
type FeedProblem struct {
	Key  string // to change, such as feeds.news.subjects
	Text string
}

// Undeliverable reports the subjects of a feed that no event of its stream can have.
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

// checkFeeds looks up the stream of each feed, until all were found or ctx ends. It logs feeds whose
// stream does not exist, at first and every ten minutes, and subjects that a stream cannot
// have. A stream that this node creates is waited for.
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

// checkFeedStream reports whether the stream was found. logged has the times of the warnings.
func (s *Server) checkFeedStream(ctx context.Context, name string, logged map[string]time.Time) (found bool) {
	if k := s.kept[name]; k != nil && k.isPending() || !s.nats.IsConnected() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, feedCheckTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if last := logged[name]; last.IsZero() || time.Since(last) >= feedCheckRepeat {
			logged[name] = time.Now()
			s.warnOfMissing(name)
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
			s.opts.Logger.Warn("a subject of a feed cannot occur; connections do not receive it", "key", p.Key, "stream", name, "error", p.Text)
		}
	}
	return true
}

// warnOfMissing names the feeds of a stream that does not exist, and the streams that this node defines.
func (s *Server) warnOfMissing(stream string) {
	var defined []string
	for _, def := range s.opts.Streams {
		defined = append(defined, def.Name)
	}
	for _, f := range s.opts.Feeds {
		if f.Stream == stream {
			s.opts.Logger.Warn("the stream of a feed does not exist; its connections receive nothing until it is created",
				"key", "feeds."+f.Name+".stream", "stream", stream, "defined", strings.Join(defined, ","),
				"remedy", "correct the name, or create the stream (`nats stream add`, or a definition in streams.dir)")
		}
	}
}
