package jetlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/pkg/feed"
)

// PublisherOptions say how messages are published. The zero value works.
type PublisherOptions struct {
	// Domain and APIPrefix are as in Options.
	Domain, APIPrefix string
	// AckTimeout bounds the wait for one acknowledgement; 5 s when zero.
	AckTimeout time.Duration
	// MaxPending bounds the messages of all callers that wait for their acknowledgement;
	// 4096 when zero. A publish beyond it waits for room within AckTimeout.
	MaxPending int
	// EpochTTL is how long the epoch of a stream is taken for known; 2 s when zero. A
	// stream that is recreated and overtakes its old sequence within that time may give
	// positions of the old epoch, whose holders are then told of a gap.
	EpochTTL time.Duration
	// Streams are names of streams that may be mirrors. When nobody takes a message and one of
	// them is, its origin counts as out of reach: it may take the subject, which is not known here.
	Streams []string
}

// Publisher stores messages in whichever stream takes their subject.
type Publisher struct {
	api    api
	js     jetstream.JetStream
	opts   PublisherOptions
	epochs *epochs
	counts publishCounts
}

var _ feed.Publisher = (*Publisher)(nil)

// NewPublisher publishes over nc, which stays the caller's. The caller closes the Publisher.
func NewPublisher(nc *nats.Conn, opts PublisherOptions) (*Publisher, error) {
	if nc == nil {
		return nil, errors.New("jetlog: no connection")
	}
	prefix, err := apiPrefix(opts.Domain, opts.APIPrefix)
	if err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	js, err := newJetStream(nc, opts)
	if err != nil {
		return nil, fmt.Errorf("jetlog: %w", err)
	}
	a := api{nc: nc, prefix: prefix, timeout: opts.AckTimeout, link: watch(nc)}
	return &Publisher{api: a, js: js, opts: opts, epochs: newEpochs(a, opts.EpochTTL)}, nil
}

func (o PublisherOptions) withDefaults() PublisherOptions {
	if o.AckTimeout <= 0 {
		o.AckTimeout = 5 * time.Second
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 4096
	}
	if o.EpochTTL <= 0 {
		o.EpochTTL = 2 * time.Second
	}
	return o
}

func newJetStream(nc *nats.Conn, opts PublisherOptions) (jetstream.JetStream, error) {
	options := []jetstream.JetStreamOpt{
		jetstream.WithPublishAsyncMaxPending(opts.MaxPending),
		jetstream.WithPublishAsyncTimeout(opts.AckTimeout),
	}
	switch {
	case opts.Domain != "":
		return jetstream.NewWithDomain(nc, opts.Domain, options...)
	case opts.APIPrefix != "":
		return jetstream.NewWithAPIPrefix(nc, opts.APIPrefix, options...)
	}
	return jetstream.New(nc, options...)
}

// Close gives up the subscription for acknowledgements. Publishes under way fail.
func (p *Publisher) Close() {
	p.js.CleanupPublisher()
	p.api.link.close()
}

// Publish implements feed.Publisher. Messages of one call are stored in their order; one
// that fails does not keep the following from being stored. Where a Result wraps
// feed.ErrUnavailable or the error of the context, the message may be stored nevertheless:
// publishing it again is safe with an ID, within the stream's duplicate window.
func (p *Publisher) Publish(ctx context.Context, msgs ...feed.Message) []feed.Result {
	began := time.Now()
	before := p.epochs.marks()
	results := make([]feed.Result, len(msgs))
	futures := make([]jetstream.PubAckFuture, len(msgs))
	for i, msg := range msgs {
		futures[i], results[i].Err = p.send(ctx, msg)
	}
	for i, future := range futures {
		if future != nil {
			results[i] = p.await(ctx, future, before)
		}
		p.counts.add(results[i], time.Since(began))
	}
	return results
}

// send starts a publish. There are no retries, which would let a later message of the batch
// overtake this one.
func (p *Publisher) send(ctx context.Context, msg feed.Message) (jetstream.PubAckFuture, error) {
	if err := msg.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if !p.api.nc.IsConnected() {
		return nil, fmt.Errorf("%w: %s", feed.ErrUnavailable, p.api.nc.Status())
	}
	future, err := p.js.PublishMsgAsync(natsMsg(msg),
		jetstream.WithRetryAttempts(0), jetstream.WithStallWait(p.opts.AckTimeout))
	if err != nil {
		return nil, p.explain(ctx, msg.Subject, err)
	}
	return future, nil
}

func natsMsg(msg feed.Message) *nats.Msg {
	m := nats.NewMsg(msg.Subject)
	m.Data = msg.Data
	if msg.Type != "" {
		m.Header.Set(typeHeader, msg.Type)
	}
	if msg.ID != "" {
		m.Header.Set(jetstream.MsgIDHeader, msg.ID)
	}
	storeTrace(m.Header, msg.Trace)
	return m
}

func (p *Publisher) await(ctx context.Context, future jetstream.PubAckFuture, before map[string]uint64) feed.Result {
	select {
	case ack := <-future.Ok():
		return feed.Result{Ack: p.ack(ctx, ack, before)}
	case err := <-future.Err():
		return feed.Result{Err: p.explain(ctx, future.Msg().Subject, err)}
	case <-ctx.Done():
		return feed.Result{Err: context.Cause(ctx)}
	}
}

func (p *Publisher) ack(ctx context.Context, ack *jetstream.PubAck, before map[string]uint64) feed.Ack {
	if !ack.Duplicate {
		p.epochs.stored(ack.Stream, ack.Sequence, before)
	}
	return feed.Ack{
		Stream:    ack.Stream,
		Position:  feed.Position{Seq: ack.Sequence, Epoch: p.epochs.get(ctx, ack.Stream)},
		Duplicate: ack.Duplicate,
	}
}

// Error codes of JetStream for what cannot be stored, from the server's errors.json.
const (
	errMessageSize = 10054
	errHeaderSize  = 10097
)

// explain gives an error the meaning that feed knows.
func (p *Publisher) explain(ctx context.Context, subject string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return p.nobodyTook(ctx, subject)
	case errors.Is(err, nats.ErrMaxPayload), isAPIError(err, errMessageSize), isAPIError(err, errHeaderSize):
		return fmt.Errorf("%w: %w", feed.ErrTooLarge, err)
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	if ok && api.Code < 500 {
		return fmt.Errorf("publish to %q: %w", subject, err)
	}
	return fmt.Errorf("%w: publish to %q: %w", feed.ErrUnavailable, subject, err)
}

// nobodyTook tells a subject that no stream takes from a stream that has no leader just now.
func (p *Publisher) nobodyTook(ctx context.Context, subject string) error {
	var resp struct {
		failure
		Streams []string `json:"streams"`
	}
	req := struct {
		Subject string `json:"subject"`
	}{subject}
	err := p.api.request(ctx, "STREAM.NAMES", req, &resp)
	switch {
	case err != nil:
		return fmt.Errorf("%w: nobody took %q: %w", feed.ErrUnavailable, subject, err)
	case len(resp.Streams) > 0:
		return fmt.Errorf("%w: stream %s does not take %q now", feed.ErrUnavailable, resp.Streams[0], subject)
	}
	if mirror, origin := p.mirror(ctx); mirror != "" {
		return fmt.Errorf("%w: nobody takes %q; %s is a mirror, and its origin %s may be out of reach", feed.ErrUnavailable, subject, mirror, origin)
	}
	return fmt.Errorf("%q: %w", subject, feed.ErrSubjectNotStored)
}

// mirror returns the first of Options.Streams that is a mirror, and its origin.
func (p *Publisher) mirror(ctx context.Context) (name, origin string) {
	for _, name := range p.opts.Streams {
		var info streamInfo
		err := p.api.request(ctx, "STREAM.INFO."+name, nil, &info)
		if err == nil && info.Config.Mirror != nil {
			return name, info.Config.Mirror.Name
		}
	}
	return "", ""
}
