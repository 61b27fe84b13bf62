package jetlog

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/pkg/feed"
)

// ferryTime is how long single messages are read before a consumer is tried again, and ferryPause
// how long the end of the stream is left alone.
const (
	ferryTime  = time.Second
	ferryPause = 50 * time.Millisecond
)

// ferry carries events over one by one from the stream's leader while no consumer can be had.
// A consumer is made by the cluster's leader, and another is elected only four to nine seconds
// after that one was lost, while the stream itself may go on. It reads about a thousand events a
// second. ferried is false where the stream's leader does not answer either.
func (f *follower) ferry(ctx context.Context, yield func(feed.Event, error) bool) (ferried, more bool) {
	if !f.reached {
		return false, true
	}
	info, err := f.info(ctx)
	if err != nil || f.judge(ctx, info.state()) != nil { // the next try says why
		return false, true
	}
	for end := time.Now().Add(ferryTime); time.Now().Before(end); {
		msg, found, err := f.get(ctx, msgQuery{Seq: f.next, NextFor: ">"})
		if err != nil {
			return ferried, true
		}
		if !ferried {
			ferried = true
			f.contact(nil)
		}
		if !found {
			if pause(ctx, ferryPause, nil) != nil {
				return true, true
			}
			continue
		}
		if !f.pass(f.log.stored(msg), yield) {
			return true, false
		}
	}
	return ferried, true
}

// stored is a message that was asked for as an event.
func (l *Log) stored(msg storedMsg) feed.Event {
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
