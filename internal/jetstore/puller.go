package jetstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/natsconn"
)

// Reasons to replace a consumer.
var (
	errSilent  = errors.New("the consumer's heartbeat is missing")
	errMissing = errors.New("deliveries of the consumer are missing")
)

// pullExpires is how long the server holds a pull request. A new request follows when it expires.
const pullExpires = 10 * time.Second

// puller pulls from one consumer at a time over an inbox of its own. One goroutine uses it.
//
// The inbox is inbox.N, N being the number of the pull request: it distinguishes
// statuses of earlier ones. Deliveries carry the subject that they were published to instead, but
// name their consumer in the reply subject.
type puller struct {
	store  *Store
	conn   watchedConn
	config jetstream.ConsumerConfig // without name and start
	name   string                   // of consumers, without number
	inbox  string
	msgs   chan *nats.Msg
	sub    *nats.Subscription

	consumer  string // empty for none
	consumers int    // created so far
	delivery  uint64 // the count of the last delivery
	changed   <-chan struct{}
	silence   time.Duration // without a message, after which the consumer counts as lost
	timer     *time.Timer

	requests int
	reply    string // of the request under way
	left     int    // deliveries that it is still for; 0 when no request is under way
	batch    int    // deliveries that it was for
	tail     bool   // events have the fields for the tail
	single   bool   // the next message is larger than the bytes of the last request
	limits   pullLimits
	largest  int // payload so far, in bytes
}

// newPuller subscribes an inbox on a connection. A request is for room deliveries at most.
func (s *Store) newPuller(kind string, conn watchedConn, room int, config jetstream.ConsumerConfig) (*puller, error) {
	inbox := conn.NewInbox()
	p := &puller{
		store: s, conn: conn, inbox: inbox, config: config,
		name: s.opts.NamePrefix + "-" + kind + "-" + inbox[strings.LastIndexByte(inbox, '.')+1:],
		// Statuses need room too: a message that a full channel drops costs a new consumer.
		msgs:    make(chan *nats.Msg, room+64),
		silence: s.opts.Heartbeat * 5 / 2,
		timer:   time.NewTimer(time.Hour),
	}
	sub, err := conn.ChanSubscribe(inbox+".*", p.msgs)
	if err != nil {
		return nil, fmt.Errorf("jetstore: subscribe an inbox: %w", err)
	}
	p.sub = sub
	return p, nil
}

// close drops the consumer and the inbox. It does not block on the network.
func (p *puller) close() {
	p.drop()
	p.timer.Stop()
	_ = p.sub.Unsubscribe() // fails only when the connection is closed
}

// drop deletes the consumer, if there is one, and discards its deliveries.
func (p *puller) drop() {
	if p.consumer != "" {
		p.store.counts.consumers.Add(-1)
		p.store.deleter.add(p.consumer)
	}
	p.consumer, p.left, p.single = "", 0, false
	for len(p.msgs) > 0 {
		<-p.msgs
	}
}

// open replaces the consumer by another that starts at from. It tries once.
func (p *puller) open(ctx context.Context, from uint64, create createFunc) (created, error) {
	p.drop()
	changed := p.conn.watcher.Changed()
	if err := p.conn.watcher.Err(); err != nil {
		return created{}, err
	}
	p.consumers++
	cfg := p.config
	cfg.Name = p.name + "-" + strconv.Itoa(p.consumers)
	if cfg.DeliverPolicy == jetstream.DeliverByStartSequencePolicy {
		cfg.OptStartSeq = from
	}
	made, err := p.store.creator.within(create)(ctx, cfg)
	if err != nil {
		return made, err
	}
	p.store.counts.consumers.Add(1)
	p.consumer, p.delivery, p.changed, p.limits = cfg.Name, 0, changed, made.Config
	return made, nil
}

// requested reports whether a pull request is under way.
func (p *puller) requested() bool { return p.left > 0 }

// waiting reports that everything delivered was read and that a request is under way: a reader that is
// behind then is not behind because it is slow.
func (p *puller) waiting() bool { return p.requested() && len(p.msgs) == 0 }

// assumedSize is the assumed size of messages of a last-per-subject consumer until a larger
// one was delivered. nats-server (2.15.2) drops a message of such a consumer if it exceeds the rest
// of max_bytes, so that its requests are bounded by their number alone: the first one may
// return more than it should, by as much as messages are larger than this.
const assumedSize = 4 << 10

// request sends a pull request for up to batch messages and bytes.
func (p *puller) request(ctx context.Context, batch, bytes int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p.single {
		batch, bytes, p.single = 1, 0, false
	}
	if p.config.DeliverPolicy == jetstream.DeliverLastPerSubjectPolicy {
		batch, bytes = min(batch, max(bytes/max(p.largest, assumedSize), 1)), 0
	}
	batch, bytes, expires := p.limits.clamp(batch, bytes)
	p.requests++
	p.reply = p.inbox + "." + strconv.Itoa(p.requests)
	p.left, p.batch = batch, batch
	body := fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`,
		batch, bytes, expires, min(p.store.opts.Heartbeat, expires/2))
	subject := p.store.leader.api.Prefix + "CONSUMER.MSG.NEXT." + p.store.opts.Stream + "." + p.consumer
	return p.conn.PublishRequest(subject, p.reply, body)
}

type kind int

const (
	ignored kind = iota
	delivered
	idle        // a heartbeat: the consumer has nothing
	over        // the request ended before its batch was full
	expired     // the request ended without a delivery
	leaderState // the stream's leader answered requestLeaderState
)

type delivery struct {
	kind    kind
	event   feed.Event
	pending uint64
	state   feed.State // of leaderState
}

// drained reports that the consumer has nothing more at this moment.
func (d delivery) drained() bool { return d.kind == idle || d.kind == delivered && d.pending == 0 }

// next waits for the next delivery or status of the request under way. After an error other than the
// context's the consumer must be replaced.
func (p *puller) next(ctx context.Context) (delivery, error) {
	for {
		msg, err := p.receive(ctx)
		if err != nil {
			return delivery{}, err
		}
		d, err := p.classify(msg)
		if err != nil || d.kind != ignored {
			return d, err
		}
	}
}

func (p *puller) receive(ctx context.Context) (*nats.Msg, error) {
	select { // a select with one case costs a tenth of the one below
	case msg := <-p.msgs:
		return msg, nil
	default:
	}
	p.timer.Reset(p.silence)
	select {
	case msg := <-p.msgs:
		return msg, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.changed:
		return nil, natsconn.ErrChanged
	case <-p.timer.C:
		return nil, errSilent
	}
}

// classify uses the reply subject only: an empty message whose publisher gave it a
// Status header looks like a status of the server in everything else.
func (p *puller) classify(msg *nats.Msg) (delivery, error) {
	if !strings.HasPrefix(msg.Reply, ackPrefix) {
		return p.status(msg)
	}
	m, ok := parseReply(msg.Reply)
	switch {
	case !ok:
		return delivery{}, fmt.Errorf("the server sent the reply subject %q", msg.Reply)
	case m.consumer != p.consumer:
		return delivery{}, nil
	case m.delivery != p.delivery+1:
		return delivery{}, errMissing
	}
	p.delivery++
	p.left = max(p.left-1, 0)
	p.largest = max(p.largest, len(msg.Data))
	ev := p.store.decoder.event(msg, m)
	if p.tail {
		p.store.decoder.live(&ev, msg.Header)
	}
	return delivery{kind: delivered, event: ev, pending: m.pending}, nil
}

// status reads a status message of the server; ADR-37 and the server's consumer.go list them.
func (p *puller) status(msg *nats.Msg) (delivery, error) {
	if msg.Subject == p.leaderReply() {
		return p.leaderState(msg), nil
	}
	if msg.Subject != p.reply || !p.requested() {
		return delivery{}, nil
	}
	code, text := msg.Header.Get("Status"), msg.Header.Get("Description")
	switch code {
	case "100":
		return p.heartbeat(msg)
	case "404", "408":
		return p.ended(), nil
	case "409":
		return p.conflict(text)
	case "503":
		return delivery{}, errors.New("the consumer is gone: its pull requests have no responders")
	}
	return delivery{}, p.refused(code + " " + text)
}

func (p *puller) heartbeat(msg *nats.Msg) (delivery, error) {
	last, err := strconv.ParseUint(msg.Header.Get("Nats-Last-Consumer"), 10, 64)
	if err == nil && last > p.delivery {
		return delivery{}, errMissing
	}
	return delivery{kind: idle}, nil
}

func (p *puller) conflict(text string) (delivery, error) {
	switch {
	case text == "Batch Completed":
	case text == "Message Size Exceeds MaxBytes":
		p.single = p.left == p.batch
	case strings.HasPrefix(text, "Exceeded "):
		return p.exceeded(text)
	default: // Consumer Deleted, Leadership Change, Server Shutdown
		return delivery{}, fmt.Errorf("the consumer is gone: %s", text)
	}
	p.left = 0
	return delivery{kind: over}, nil
}

func (p *puller) ended() delivery {
	d := delivery{kind: over}
	if p.left == p.batch {
		d.kind = expired
	}
	p.left = 0
	return d
}

// leaderReply is the subject of the answer to requestLeaderState. It names the present consumer.
func (p *puller) leaderReply() string { return p.inbox + ".leader-" + strconv.Itoa(p.consumers) }

// requestLeaderState requests the state of the stream from its leader. The answer comes from next, as a
// delivery of the kind leaderState; there is none where the leader does not answer.
func (p *puller) requestLeaderState() error {
	return p.conn.PublishRequest(p.store.leader.api.Prefix+p.store.leader.infoOp(), p.leaderReply(), nil)
}

func (p *puller) leaderState(msg *nats.Msg) delivery {
	var info jsapi.StreamInfo
	if jsapi.Decode(msg.Data, &info) != nil {
		return delivery{}
	}
	return delivery{kind: leaderState, state: stateOf(&info)}
}

// exceeded ends the request under way, which was for more than the server allows.
func (p *puller) exceeded(text string) (delivery, error) {
	err := p.refused(text)
	if !p.limits.lower(text) {
		return delivery{}, err
	}
	p.left = 0
	return delivery{kind: over}, nil
}

// refused counts a pull request that the server refused, and logs it.
func (p *puller) refused(text string) error {
	p.store.counts.refusals.Add(1)
	if n, ok := p.store.refusalLog.allow(); ok {
		p.store.opts.Logger.Warn("jetstream: pull request rejected; retrying", "consumer", p.consumer, "status", text, "times", n)
	}
	return fmt.Errorf("the pull request was rejected: %s", text)
}
