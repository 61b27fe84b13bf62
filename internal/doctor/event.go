package doctor

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/subject"
)

// testEvent is the event stored by Options.Publish, with its own subject.
type testEvent struct {
	nc              *nats.Conn
	stream, subject string
	mark            string // its data
}

// eventTTL is the lifetime of the event, if the stream permits lifetimes (allow_msg_ttl).
const eventTTL = "1m"

// late is the longest accepted delay of an event. A buffer that is flushed at intervals delays it by
// seconds.
const late = 2 * time.Second

// newEvent selects a subject that a connection may request. It returns nil if no event is published.
func (d *doctor) newEvent(nc *nats.Conn, path string) *testEvent {
	name, known := d.feedOf(path)
	if !d.Publish || nc == nil || !known {
		return nil
	}
	f := d.Config.Feeds[name]
	for _, template := range f.Allow {
		subj, ok := plainSubject(template)
		if !ok || strings.Contains(template, "{") || !slices.Contains(strings.Split(subj, "."), probeToken) {
			continue
		}
		if subject.Check(subj) == nil {
			return &testEvent{nc: nc, stream: f.Stream, subject: subj, mark: probeToken + "-" + rand.Text()}
		}
	}
	return nil
}

// awaitEvent reports whether the connection can still be used.
func (v *visit) awaitEvent(ctx context.Context, parts <-chan arrival, event *testEvent) bool {
	if err := v.publish(ctx, event); err != nil {
		v.warn("the permission to publish (see permissions), or omit --publish", "no event could be published: %v", err)
		return true
	}
	begun := time.Now()
	_, ended, err := await(ctx, parts, promptly, event.mark)
	took := time.Since(begun)
	switch {
	case ended:
		v.problem("the log of the proxy and of the node", "the connection ended before a published event arrived: %v", err)
		return false
	case took > late:
		v.problem(bufferingOff, "a published event did not arrive within %s", took.Round(time.Millisecond))
	default:
		v.ok("a published event arrived after %s", took.Round(time.Millisecond))
	}
	return true
}

func (v *visit) publish(ctx context.Context, event *testEvent) error {
	js, err := jsapi.New(event.nc, v.Config.NATS.Domain, v.Config.NATS.APIPrefix)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, event.stream)
	if err != nil {
		return err
	}
	m := nats.NewMsg(event.subject)
	m.Data = []byte(event.mark)
	m.Header.Set(nats.ExpectedStreamHdr, event.stream)
	if stream.CachedInfo().Config.AllowMsgTTL {
		m.Header.Set("Nats-TTL", eventTTL)
	}
	_, err = js.PublishMsg(ctx, m)
	return err
}
