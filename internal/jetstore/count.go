package jetstore

import (
	"errors"
	"sync/atomic"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jsapi"
)

// CreateFailure is why a consumer could not be created.
type CreateFailure uint8

// Reasons that are counted.
const (
	CreateLimit    CreateFailure = iota // the limit of consumers of the stream or the account is reached
	CreateNoStream                      // the stream does not exist
	CreateNoAnswer                      // within Options.RequestTimeout, or before the connection was lost
	CreateRefused                       // any other error of the server
	createFailures
)

var createFailureNames = [createFailures]string{"limit", "no_stream", "no_answer", "rejected"}

// String returns the label of the metric.
func (f CreateFailure) String() string { return createFailureNames[f] }

// Status counts the work of a Store since it was opened.
type Status struct {
	Consumers int // in use now: the tail's and those of replays
	Waiting   int // replays whose consumer is being created, or queues
	// Creates is how many consumers were created. CreateFailures has failed attempts for each reason,
	// also those that did not occur.
	Creates        uint64
	CreateFailures map[CreateFailure]uint64
	TailRestarts   uint64 // how often the tail's consumer was replaced
	PullRefusals   uint64 // pull requests that the server refused
}

// counts are those of Status.
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
	case jsapi.IsError(err, jsapi.CodeMaxConsumers):
		c.failures[CreateLimit].Add(1)
	case errors.Is(err, feed.ErrNoStream):
		c.failures[CreateNoStream].Add(1)
	case jsapi.Unclear(err):
		c.failures[CreateNoAnswer].Add(1)
	default:
		c.failures[CreateRefused].Add(1)
	}
}

// Status returns the counts so far. It does not block.
func (s *Store) Status() Status {
	c := s.counts
	status := Status{
		Consumers: int(c.consumers.Load()), Waiting: int(c.waiting.Load()),
		Creates: c.creates.Load(), TailRestarts: c.tails.Load(), PullRefusals: c.refusals.Load(),
		CreateFailures: make(map[CreateFailure]uint64, createFailures),
	}
	for f := range createFailures {
		status.CreateFailures[f] = c.failures[f].Load()
	}
	return status
}
