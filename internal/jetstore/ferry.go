package jetstore

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
)

// ferryTime is how long single messages are read before a consumer is tried again, and ferryPause
// how long the end of the stream is left alone. At most ferryEvents are read before the stream
// is looked at and they are yielded.
const (
	ferryTime   = time.Second
	ferryPause  = 50 * time.Millisecond
	ferryEvents = 64
)

// ferry carries events over one by one from the stream's leader while no consumer can be had.
// A consumer is made by the cluster's leader, and another is elected only four to nine seconds
// after that one was lost, while the stream itself may go on. It reads about a thousand events a
// second. ferried is false where the stream's leader does not answer either. The error is a
// *feed.LossError.
func (f *follower) ferry(ctx context.Context, yield func(feed.Event, error) bool) (ferried, more bool, err error) {
	if !f.reached {
		return false, true, nil
	}
	info, err := f.info(ctx)
	if err != nil {
		return false, true, nil //nolint:nilerr // a leader that does not answer is tried again
	}
	if err := f.judge(ctx, info.state()); err != nil {
		return false, true, onlyLoss(err)
	}
	if !f.passDeletedEnd(ctx, yield) {
		return true, false, nil
	}
	for end := time.Now().Add(ferryTime); time.Now().Before(end); {
		events, err := f.ferryBatch(ctx)
		if err != nil {
			return ferried, true, onlyLoss(err)
		}
		if !ferried {
			ferried = true
			f.contact(nil)
		}
		for _, ev := range events {
			if !f.pass(ev, yield) {
				return true, false, nil
			}
		}
		if len(events) == 0 && pause(ctx, ferryPause, nil) != nil {
			return true, true, nil //nolint:nilerr // only the end of ctx interrupts the pause
		}
	}
	return ferried, true, nil
}

// onlyLoss drops what another attempt may heal.
func onlyLoss(err error) error {
	if loss, ok := errors.AsType[*feed.LossError](err); ok {
		return loss
	}
	return nil
}

// ferryBatch reads what is stored next. The stream is looked at afterwards: what was read is of
// the incarnation that shows then, or of one before it.
func (f *follower) ferryBatch(ctx context.Context) (events []feed.Event, err error) {
	next := f.next
	for bytes := 0; len(events) < ferryEvents && bytes < f.log.opts.BatchBytes; {
		msg, found, err := f.get(ctx, msgQuery{Seq: next, NextFor: ">"})
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		events = append(events, f.log.stored(msg))
		next, bytes = msg.Seq+1, bytes+len(msg.Data)
	}
	if len(events) == 0 {
		return nil, nil
	}
	info, err := f.info(ctx)
	if err != nil {
		return nil, err
	}
	if state := info.state(); f.foreign(state) {
		return nil, f.loss(feed.NewEpoch, state)
	}
	return events, nil
}

// stored is a message that was asked for as an event.
func (l *Store) stored(msg storedMsg) feed.Event {
	header, err := nats.DecodeHeadersMsg(msg.Header)
	if err != nil {
		header = nil // no headers, or none that can be read
	}
	ev := feed.Event{
		Seq: msg.Seq, Subject: msg.Subject, Data: msg.Data, Time: msg.Time.UTC(),
		Type: l.eventType(&nats.Msg{Subject: msg.Subject, Header: header}),
	}
	ev.Expires = expires(ev.Time, header)
	l.trace(&ev, header)
	return ev
}
