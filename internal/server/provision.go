package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/streamdef"
)

// provisionPause is how long a failed attempt waits; provisionTimeout bounds one attempt.
const (
	provisionPause   = 500 * time.Millisecond
	provisionTimeout = 10 * time.Second
)

// checkDefinitions refuses to start where the definition of a feed's stream cannot be served. Streams
// that are not defined here are checked when their tail first reaches them.
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

// provision makes the streams what they should be, as soon as NATS lets it, and keeps them until
// ctx ends; see streamKeeper.
func (s *Server) provision(ctx context.Context) {
	var keeping sync.WaitGroup
	defer keeping.Wait()
	for _, want := range s.opts.Streams {
		for told := ""; ; {
			err := s.provisionOne(ctx, want)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return
			}
			why := err.Error()
			s.provisioned.Store(&why)
			if why != told && !natsconn.NotConnected(err) { // once, not at each attempt of a long outage
				s.opts.Logger.Warn("waiting to look after a stream", "stream", want.Name, "error", err)
				told = why
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(provisionPause):
			}
		}
		keeping.Go(func() { s.keepStream(ctx, s.kept[want.Name]) })
	}
	s.delivery.Refresh(ctx)
	s.provisioned.Store(nil)
}

func (s *Server) provisionOne(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	out, err := streamdef.ProvisionOwned(ctx, s.js, want, s.opts.ApplyStreams)
	log := s.opts.Logger.With("stream", want.Name)
	for _, d := range out.Differences {
		log.Warn("the stream differs from its definition", "field", d.Field, "want", d.Want, "have", d.Have, "applied", out.Action == streamdef.Applied)
	}
	if err != nil {
		return err
	}
	s.kept[want.Name].found(out)
	switch out.Action {
	case streamdef.Created, streamdef.Applied:
		log.Info("stream " + string(out.Action))
	case streamdef.Differs:
		log.Warn("the stream is used as it is; set streams.apply, or run `tidemark stream apply`, to change it")
	}
	return nil
}
