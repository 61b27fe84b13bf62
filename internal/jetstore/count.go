package jetstore

import (
	"errors"
	"sync/atomic"

	"github.com/tidemark/tidemark/internal/feed"
)

// CreateFailure says why a consumer could not be made.
type CreateFailure uint8

// What is counted.
const (
	CreateLimit    CreateFailure = iota // the stream or the account has all the consumers that it may have
	CreateNoStream                      // the stream does not exist
	CreateNoAnswer                      // in Options.RequestTimeout, or before the connection was lost
	CreateRefused                       // anything else that the server said
	createFailures
)

var createFailureNames = [createFailures]string{"limit", "no_stream", "no_answer", "refused"}

// String is the name that a metric has as its label.
func (f CreateFailure) String() string { return createFailureNames[f] }

// Status is what a Log has done since it was opened.
type Status struct {
	Consumers int // in use now: the tail's and those of replays
	Waiting   int // replays whose consumer is being made, or waits for its turn
	// Creates are the consumers that were made. Attempts that failed are by reason; those that
	// did not occur are there, with zero.
	Creates        uint64
	CreateFailures map[CreateFailure]uint64
	TailRestarts   uint64 // how often the tail's consumer was given up for another
	PullRefusals   uint64 // pull requests that the server did not accept
}

// counts are written where things happen.
type counts struct {
	consumers, waiting atomic.Int64
	creates, tails     atomic.Uint64
	refusals           atomic.Uint64
	failures           [createFailures]atomic.Uint64
}

func (c *counts) create(err error) {
	switch {
	case err == nil:
		c.creates.Add(1)
	case isAPIError(err, errMaxConsumers):
		c.failures[CreateLimit].Add(1)
	case errors.Is(err, feed.ErrNoStream):
		c.failures[CreateNoStream].Add(1)
	case unclear(err):
		c.failures[CreateNoAnswer].Add(1)
	default:
		c.failures[CreateRefused].Add(1)
	}
}

// Status does not block.
func (l *Store) Status() Status {
	c := &l.counts
	s := Status{
		Consumers: int(c.consumers.Load()), Waiting: int(c.waiting.Load()),
		Creates: c.creates.Load(), TailRestarts: c.tails.Load(), PullRefusals: c.refusals.Load(),
		CreateFailures: make(map[CreateFailure]uint64, createFailures),
	}
	for f := range createFailures {
		s.CreateFailures[f] = c.failures[f].Load()
	}
	return s
}
