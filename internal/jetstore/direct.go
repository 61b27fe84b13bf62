package jetstore

import (
	"context"
	"errors"
	"time"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/feed"
)

// directTime is how long single messages are read before a consumer is tried again, and directPause
// the pause at the end of the stream. At most directEvents are read before the state of the stream
// is requested and they are yielded.
const (
	directTime   = time.Second
	directPause  = 50 * time.Millisecond
	directEvents = 64
)

// readDirect reads events one by one from the stream's leader while no consumer can be created.
// A consumer is created by the cluster's leader, and another is elected only four to nine seconds
// after that one was lost, while the stream itself may work. It reads about a thousand events a
// second. It fails where the stream's leader does not answer either.
func (f *follower) readDirect(ctx context.Context) error {
	info, err := f.info(ctx)
	if err != nil {
		return err
	}
	if err := f.checkContinuity(ctx, stateOf(info)); err != nil {
		return err
	}
	if err := f.passDeletedEnd(ctx); err != nil {
		return err
	}
	read := false
	for end := time.Now().Add(directTime); time.Now().Before(end); {
		events, err := f.directBatch(ctx)
		if err != nil {
			if _, loss := errors.AsType[*feed.LossError](err); loss || !read {
				return err
			}
			break // a consumer is tried at once
		}
		if !read {
			read = true
			f.contact(nil)
		}
		for _, ev := range events {
			if err := f.pass(ev); err != nil {
				return err
			}
		}
		if len(events) == 0 {
			if err := backoff.Pause(ctx, directPause, nil); err != nil {
				return err
			}
		}
	}
	f.move(followConnecting)
	return nil
}

// directBatch reads the next stored events. The state of the stream is requested afterwards: the
// events are of that incarnation, or of one before it.
func (f *follower) directBatch(ctx context.Context) (events []feed.Event, err error) {
	next := f.next
	for bytes := 0; len(events) < directEvents && bytes < f.store.opts.BatchBytes; {
		msg, found, err := f.get(ctx, msgQuery{Seq: next, NextFor: ">"})
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		events = append(events, f.store.decoder.stored(msg))
		next, bytes = msg.Seq+1, bytes+len(msg.Data)
	}
	if len(events) == 0 {
		return nil, nil
	}
	info, err := f.info(ctx)
	if err != nil {
		return nil, err
	}
	if state := stateOf(info); f.otherIncarnation(state) {
		return nil, f.loss(feed.NewEpoch, state)
	}
	return events, nil
}
