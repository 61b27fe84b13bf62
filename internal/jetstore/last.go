package jetstore

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
)

// Last implements feed.Store. The server finds the message in its index of subjects, without reading others.
func (s *Store) Last(ctx context.Context, subject string) (ev feed.Event, found bool, err error) {
	msg, found, err := s.leader.get(ctx, msgQuery{LastFor: subject})
	if err != nil || !found {
		return feed.Event{}, false, err
	}
	header, err := nats.DecodeHeadersMsg(msg.Header)
	if err != nil {
		header = nil // no headers, or invalid ones
	}
	return feed.Event{Seq: msg.Seq, Subject: msg.Subject, Time: msg.Time.UTC(), End: isEnd(header)}, true, nil
}
