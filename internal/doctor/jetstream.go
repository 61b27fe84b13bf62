package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/jsapi"
)

// infoTimeout limits the request for one stream. Without a permission or a leader there is no response.
const infoTimeout = 3 * time.Second

// streamAnswer is a response of STREAM.INFO with its time.
type streamAnswer struct {
	name   string
	info   *jetstream.StreamInfo // nil if err is set
	err    error
	offset time.Duration // of the server's clock relative to this clock
	within time.Duration // half of the duration of the request
}

// checkJetStream checks permissions, streams and the clock with one connection.
func (d *doctor) checkJetStream(ctx context.Context, nc *nats.Conn) []Finding {
	api, err := jsapi.Prefix(d.Config.NATS.Domain, d.Config.NATS.APIPrefix)
	if err != nil {
		return nil // reported by checkConfig
	}
	answers := d.lookUp(ctx, nc, api)
	found := d.permissions(ctx, nc, d.operations(api, func(stream string) bool { return !errors.Is(answers[stream].err, jetstream.ErrStreamNotFound) }))
	for _, name := range d.feedStreams() {
		found = append(found, d.checkStream(nc, answers[name])...)
	}
	found = append(found, d.checkRevocations(answers[d.RevocationStream])...)
	return append(found, d.checkClock(slices.Collect(maps.Values(answers)))...)
}

// lookUp requests all streams of this configuration concurrently.
func (d *doctor) lookUp(ctx context.Context, nc *nats.Conn, api string) map[string]streamAnswer {
	names := append(d.feedStreams(), d.RevocationStream)
	if d.Config.Presence.Enabled {
		names = append(names, "KV_"+d.Config.Presence.Bucket)
	}
	results := make(chan streamAnswer, len(names))
	for _, name := range names {
		go func() { results <- lookUpOne(ctx, nc, api, name) }()
	}
	answers := make(map[string]streamAnswer, len(names))
	for range names {
		a := <-results
		answers[a.name] = a
	}
	return answers
}

func lookUpOne(ctx context.Context, nc *nats.Conn, api, name string) streamAnswer {
	a := streamAnswer{name: name}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	sent := time.Now()
	msg, err := nc.RequestWithContext(ctx, api+"STREAM.INFO."+name, nil)
	if err != nil {
		a.err = err
		return a
	}
	a.within = time.Since(sent) / 2
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		jetstream.StreamInfo
	}
	switch err := json.Unmarshal(msg.Data, &answer); {
	case err != nil:
		a.err = fmt.Errorf("the answer cannot be read: %w", err)
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		a.err = jetstream.ErrStreamNotFound
	case answer.Error != nil:
		a.err = answer.Error
	default:
		a.info = &answer.StreamInfo
		a.offset = answer.TimeStamp.Sub(sent.Add(a.within))
	}
	return a
}

// feedStreams returns the streams of the feeds, each once, sorted by name.
func (d *doctor) feedStreams() []string {
	var names []string
	for _, f := range d.Config.Feeds {
		names = append(names, f.Stream)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// definition returns the definition of a stream in the configuration, or nil.
func (d *doctor) definition(stream string) (jetstream.StreamConfig, bool) {
	i := slices.IndexFunc(d.Streams, func(c jetstream.StreamConfig) bool { return c.Name == stream })
	if i < 0 {
		return jetstream.StreamConfig{}, false
	}
	return d.Streams[i], true
}

func (d *doctor) defined(stream string) bool {
	_, ok := d.definition(stream)
	return ok
}
