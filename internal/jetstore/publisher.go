package jetstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
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
	// Expected returns the name of a stream that takes the subject and that is created when it
	// is missing; empty for none. While that stream is missing, a message to it is
	// feed.ErrUnavailable, not feed.ErrSubjectNotStored. It must not block. Nil expects none.
	Expected func(subject string) (stream string)
	// Routes returns the ways of a message to feeds, see [feed.Route]. Where all go through one stream,
	// no other may store the message: it is feed.ErrRejected then. Nil lets every stream store it.
	Routes func(ctx context.Context, subject string) []feed.Route
	// Misrouted is called when a stream that Routes does not have has refused a message. It must not
	// block.
	Misrouted func()
}

// Publisher stores messages in whichever stream takes their subject.
type Publisher struct {
	api    api
	js     jetstream.JetStream
	opts   PublisherOptions
	epochs *epochs
	counts publishCounts

	closing sync.Once
	closed  chan struct{}
}

var _ feed.Publisher = (*Publisher)(nil)

var errPublisherClosed = errors.New("the publisher is closed")

// NewPublisher publishes over nc, which stays the caller's. The caller closes the Publisher.
func NewPublisher(nc *nats.Conn, opts PublisherOptions) (*Publisher, error) {
	if nc == nil {
		return nil, errors.New("jetstore: no connection")
	}
	prefix, err := apiPrefix(opts.Domain, opts.APIPrefix)
	if err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	js, err := NewJetStream(nc, opts.Domain, opts.APIPrefix,
		jetstream.WithPublishAsyncMaxPending(opts.MaxPending), jetstream.WithPublishAsyncTimeout(opts.AckTimeout))
	if err != nil {
		return nil, fmt.Errorf("jetstore: %w", err)
	}
	a := api{nc: nc, prefix: prefix, timeout: opts.AckTimeout, link: watch(nc)}
	return &Publisher{api: a, js: js, opts: opts, epochs: newEpochs(a, opts.EpochTTL), closed: make(chan struct{})}, nil
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

// NewJetStream returns the JetStream of a domain, or of an API prefix; with neither, that of the
// account. Domain and apiPrefix are as in Options. It does not block.
func NewJetStream(nc *nats.Conn, domain, apiPrefix string, options ...jetstream.JetStreamOpt) (jetstream.JetStream, error) {
	if err := CheckAPI(domain, apiPrefix); err != nil {
		return nil, err
	}
	switch {
	case domain != "":
		return jetstream.NewWithDomain(nc, domain, options...)
	case apiPrefix != "":
		return jetstream.NewWithAPIPrefix(nc, strings.TrimSuffix(apiPrefix, "."), options...)
	}
	return jetstream.New(nc, options...)
}

// Close makes publishes under way and later ones fail. The subscription for acknowledgements ends
// with the connection: nats.go 1.55 leaves a goroutine behind if its CleanupPublisher is called
// soon after the first publish.
func (p *Publisher) Close() {
	p.closing.Do(func() {
		close(p.closed)
		p.api.link.close()
	})
}

// Publish implements feed.Publisher. Messages of one call are stored in their order; one
// that fails does not keep the following from being stored. Unless a Result's error is
// feed.ErrNotStored, the message may be stored nevertheless: publishing it again is safe with
// an ID, within the stream's duplicate window.
//
// A message whose ID another publish is storing at this moment is published again until
// JetStream says where that ID is stored, for AckTimeout at most. Where the other publish
// fails, the message may so be stored after later messages of the same call.
func (p *Publisher) Publish(ctx context.Context, msgs ...feed.Message) []feed.Result {
	began := time.Now()
	before := p.epochs.marks()
	out := p.route(ctx, msgs)
	results := make([]feed.Result, len(msgs))
	futures := make([]jetstream.PubAckFuture, len(msgs))
	for i, msg := range out {
		futures[i], results[i].Err = p.send(ctx, msg)
	}
	var inProcess []int
	for i, future := range futures {
		if future != nil {
			results[i] = p.await(ctx, out[i], future, before)
		}
		if errors.Is(results[i].Err, errInProcess) {
			inProcess = append(inProcess, i)
			continue
		}
		p.counts.add(results[i], time.Since(began))
	}
	if inProcess != nil {
		p.repeat(ctx, out, inProcess, results, before)
		for _, i := range inProcess {
			p.counts.add(results[i], time.Since(began))
		}
	}
	return results
}

// send starts a publish. There are no retries, which would let a later message of the batch
// overtake this one.
func (p *Publisher) send(ctx context.Context, msg routed) (jetstream.PubAckFuture, error) {
	if err := msg.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: it was not sent: %w", feed.ErrNotStored, context.Cause(ctx))
	}
	select {
	case <-p.closed:
		return nil, notSent(msg.Subject, errPublisherClosed)
	default:
	}
	if !p.api.nc.IsConnected() {
		return nil, notSent(msg.Subject, fmt.Errorf("NATS is %s", strings.ToLower(p.api.nc.Status().String())))
	}
	future, err := p.js.PublishMsgAsync(natsMsg(msg),
		jetstream.WithRetryAttempts(0), jetstream.WithStallWait(p.opts.AckTimeout))
	switch {
	case err == nil:
		return future, nil
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrTooManyStalledMsgs), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrReconnectBufExceeded):
		return nil, notSent(msg.Subject, err)
	}
	return nil, p.explain(ctx, msg.Subject, err)
}

func natsMsg(msg routed) *nats.Msg {
	m := nats.NewMsg(msg.Subject)
	m.Data = msg.Data
	if msg.Type != "" {
		m.Header.Set(typeHeader, msg.Type)
	}
	if msg.ID != "" {
		m.Header.Set(jetstream.MsgIDHeader, msg.ID)
	}
	for name, value := range msg.Header {
		m.Header.Set(name, value)
	}
	if stream := msg.stream(); stream != "" {
		m.Header.Set(jetstream.ExpectedStreamHeader, stream)
	}
	if msg.TTL > 0 {
		m.Header.Set(lifetimeHeader, msg.TTL.String())
	}
	storeTrace(m.Header, msg.Trace)
	return m
}

func (p *Publisher) await(ctx context.Context, msg routed, future jetstream.PubAckFuture, before map[string]uint64) feed.Result {
	select {
	case ack := <-future.Ok():
		return feed.Result{Ack: p.ack(ctx, msg, ack, before)}
	case err := <-future.Err():
		return feed.Result{Err: p.explain(ctx, msg.Subject, err)}
	case <-p.closed:
		return feed.Result{Err: p.explain(ctx, msg.Subject, errPublisherClosed)}
	case <-ctx.Done():
		return feed.Result{Err: context.Cause(ctx)}
	}
}

func (p *Publisher) ack(ctx context.Context, msg routed, ack *jetstream.PubAck, before map[string]uint64) feed.Ack {
	if !ack.Duplicate {
		p.epochs.stored(ack.Stream, ack.Sequence, before)
	}
	route := msg.to(ack.Stream)
	return feed.Ack{
		Stream:    ack.Stream,
		Position:  feed.Position{Seq: ack.Sequence, Epoch: p.epochs.get(ctx, route.Reader)},
		Duplicate: ack.Duplicate,
		Sourced:   route.Sourced,
	}
}

// notSent is the error of a message that was not handed to NATS.
func notSent(subject string, err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", feed.ErrTooLarge, err)
	}
	return fmt.Errorf("%w, and %w: publish to %q: %w", feed.ErrUnavailable, feed.ErrNotStored, subject, err)
}

// explain gives the error of a message that was sent the meaning that feed knows.
func (p *Publisher) explain(ctx context.Context, subject string, err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		return p.noResponders(ctx, subject)
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		p.misrouted(api)
		return outcomeOf(api).explain(subject, api)
	}
	return fmt.Errorf("%w: publish to %q: %w", feed.ErrUnavailable, subject, err)
}

// noResponders distinguishes a subject that no stream takes from a stream that has no leader
// just now. NATS reached no stream, so that the message is not stored in either case.
func (p *Publisher) noResponders(ctx context.Context, subject string) error {
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
		return unreached(subject, err)
	case len(resp.Streams) > 0:
		return unreached(subject, fmt.Errorf("stream %s does not take it now", resp.Streams[0]))
	}
	if mirror, origin := p.mirror(ctx); mirror != "" {
		return unreached(subject, fmt.Errorf("no stream takes it; %s is a mirror, and its origin %s may be out of reach", mirror, origin))
	}
	if err := p.expected(ctx, subject); err != nil {
		return unreached(subject, err)
	}
	return fmt.Errorf("%q: %w", subject, feed.ErrSubjectNotStored)
}

func unreached(subject string, why error) error {
	return fmt.Errorf("%w, and %w: no stream received %q: %w", feed.ErrUnavailable, feed.ErrNotStored, subject, why)
}

// expected returns why the stream that Options.Expected names does not take the subject; nil
// where there is no such stream, or where it exists and has other subjects.
func (p *Publisher) expected(ctx context.Context, subj string) error {
	if p.opts.Expected == nil {
		return nil
	}
	stream := p.opts.Expected(subj)
	if stream == "" {
		return nil
	}
	var info streamInfo
	err := p.api.request(ctx, "STREAM.INFO."+stream, nil, &info)
	switch {
	case errors.Is(err, feed.ErrNoStream):
		return fmt.Errorf("stream %s is missing, and will be created", stream)
	case err != nil:
		return err
	case slices.ContainsFunc(info.Config.Subjects, func(f string) bool { return subject.Matches(f, subj) }):
		return fmt.Errorf("stream %s was created at this moment", stream)
	}
	return nil
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
