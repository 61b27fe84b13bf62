package publish

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
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/msgheader"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/subject"
)

// Options configure a Publisher. The zero value works.
type Options struct {
	// Domain and APIPrefix select the JetStream API; see [jsapi.Prefix].
	Domain, APIPrefix string
	// AckTimeout bounds the wait for one acknowledgement; 5 s when zero.
	AckTimeout time.Duration
	// MaxPending bounds the messages of all callers that wait for their acknowledgement;
	// 4096 when zero. A publish beyond it waits for room within AckTimeout.
	MaxPending int
	// EpochTTL is how long the epoch of a stream is cached; 2 s when zero. If a stream is recreated and
	// passes its old sequence within that time, acknowledgements may have the old epoch. Clients that
	// resume at such a position receive a gap.
	EpochTTL time.Duration
	// Streams are names of streams that may be mirrors. When no stream takes a message and one of
	// them is a mirror, its origin counts as unreachable: the origin may take the subject.
	Streams []string
	// Expected returns the name of a stream that takes the subject and that is created when it
	// is missing; empty for none. While that stream is missing, a message to it is
	// feed.ErrUnavailable, not feed.ErrSubjectNotStored. It must not block. Nil expects none.
	Expected func(subject string) (stream string)
	// Routes returns the routes of a message to feeds, see [feed.Route]. Where all use one stream,
	// a message that another stream would store is feed.ErrRejected. Nil lets every stream store it.
	Routes func(ctx context.Context, subject string) []feed.Route
	// Misrouted is called when a stream that is not in Routes has refused a message. It must not
	// block.
	Misrouted func()
}

// Publisher stores messages in the stream of their subject. It is safe for concurrent use.
type Publisher struct {
	api    jsapi.Client
	js     jetstream.JetStream
	opts   Options
	epochs *epochs
	counts counts

	closing sync.Once
	closed  chan struct{}
}

var _ feed.Publisher = (*Publisher)(nil)

var errPublisherClosed = errors.New("the publisher is closed")

// New returns a Publisher over nc. The caller closes it, and nc afterwards.
func New(nc *nats.Conn, opts Options) (*Publisher, error) {
	if nc == nil {
		return nil, errors.New("publish: no connection")
	}
	prefix, err := jsapi.Prefix(opts.Domain, opts.APIPrefix)
	if err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	js, err := jsapi.New(nc, opts.Domain, opts.APIPrefix,
		jetstream.WithPublishAsyncMaxPending(opts.MaxPending), jetstream.WithPublishAsyncTimeout(opts.AckTimeout))
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	a := jsapi.Client{Conn: nc, Prefix: prefix, Timeout: opts.AckTimeout, Watcher: natsconn.Watch(nc)}
	return &Publisher{api: a, js: js, opts: opts, epochs: newEpochs(a, opts.EpochTTL), closed: make(chan struct{})}, nil
}

func (o Options) withDefaults() Options {
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

// Close ends publishes under way and later ones with an error. The subscription for acknowledgements ends
// with the connection: nats.go 1.55 leaves a goroutine behind if its CleanupPublisher is called
// soon after the first publish.
func (p *Publisher) Close() {
	p.closing.Do(func() {
		close(p.closed)
		p.api.Watcher.Close(errPublisherClosed)
	})
}

// Publish implements feed.Publisher. Messages of one call are stored in their order; a
// message that fails does not prevent the following ones. Unless a Result's error is
// feed.ErrNotStored, the message may be stored: publishing it again is safe with
// an ID, within the stream's duplicate window.
//
// A message whose ID another publish is storing at this moment is published again until
// JetStream reports where that ID is stored, for AckTimeout at most. If the other publish
// fails, the message may be stored after later messages of the same call.
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
	if !p.api.Conn.IsConnected() {
		return nil, notSent(msg.Subject, fmt.Errorf("NATS is %s", strings.ToLower(p.api.Conn.Status().String())))
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
		m.Header.Set(msgheader.Type, msg.Type)
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
		m.Header.Set(msgheader.TTL, msg.TTL.String())
	}
	if msg.End {
		m.Header.Set(msgheader.End, msgheader.EndValue)
	}
	storeTrace(m.Header, msg.Trace)
	return m
}

// storeTrace sets the trace headers of a message.
func storeTrace(header nats.Header, trace feed.TraceContext) {
	if trace.Parent == "" {
		return
	}
	header.Set(msgheader.TraceParent, trace.Parent)
	if trace.State != "" {
		header.Set(msgheader.TraceState, trace.State)
	}
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

// explain wraps the error of a message that was sent in the errors of feed.
func (p *Publisher) explain(ctx context.Context, subject string, err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		return p.diagnoseNoResponders(ctx, subject)
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		p.misrouted(api)
		return outcomeOf(api).explain(subject, api)
	}
	return fmt.Errorf("%w: publish to %q: %w", feed.ErrUnavailable, subject, err)
}

// diagnoseNoResponders distinguishes a subject that no stream has from a stream without a leader. NATS
// reached no stream, so that the message is not stored in either case.
func (p *Publisher) diagnoseNoResponders(ctx context.Context, subject string) error {
	var resp struct {
		jsapi.Failure
		Streams []string `json:"streams"`
	}
	req := struct {
		Subject string `json:"subject"`
	}{subject}
	err := p.api.Request(ctx, "STREAM.NAMES", req, &resp)
	switch {
	case err != nil:
		return unreached(subject, err)
	case len(resp.Streams) > 0:
		return unreached(subject, fmt.Errorf("stream %s has no leader", resp.Streams[0]))
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

// expected returns why the stream of Options.Expected does not take the subject; nil
// where there is no such stream, or where it exists and has other subjects.
func (p *Publisher) expected(ctx context.Context, subj string) error {
	if p.opts.Expected == nil {
		return nil
	}
	stream := p.opts.Expected(subj)
	if stream == "" {
		return nil
	}
	var info jsapi.StreamInfo
	err := p.api.Request(ctx, "STREAM.INFO."+stream, nil, &info)
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

// DuplicateWindow returns the duplicate window of a stream. It is 0 if the stream does not answer.
func (p *Publisher) DuplicateWindow(ctx context.Context, stream string) time.Duration {
	var info jsapi.StreamInfo
	if err := p.api.Request(ctx, "STREAM.INFO."+stream, nil, &info); err != nil {
		return 0
	}
	return info.Config.Duplicates
}

// mirror returns the first of Options.Streams that is a mirror, and its origin.
func (p *Publisher) mirror(ctx context.Context) (name, origin string) {
	for _, name := range p.opts.Streams {
		var info jsapi.StreamInfo
		err := p.api.Request(ctx, "STREAM.INFO."+name, nil, &info)
		if err == nil && info.Config.Mirror != nil {
			return name, info.Config.Mirror.Name
		}
	}
	return "", ""
}
