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
)

// Reasons why a consumer is given up for a new one.
var (
	errSilent  = errors.New("the consumer's heartbeat is missing")
	errMissing = errors.New("deliveries of the consumer are missing")
)

// pullExpires is how long the server holds a pull request. It is renewed in time; for a
// follower that is also when it compares notes with the leader.
const pullExpires = 10 * time.Second

// puller pulls from one consumer at a time over an inbox of its own. One goroutine uses it.
//
// The inbox is inbox.N, N being the number of the pull request: statuses of earlier ones
// are told by it. Deliveries carry the subject that they were published to instead, but
// name their consumer in the reply subject.
type puller struct {
	log    *Store
	conn   carrier
	config jetstream.ConsumerConfig // without name and start
	name   string                   // of consumers, without number
	inbox  string
	msgs   chan *nats.Msg
	sub    *nats.Subscription

	consumer  string // empty for none
	consumers int    // made so far
	delivery  uint64 // the count of the last delivery
	changed   <-chan struct{}
	silence   time.Duration
	timer     *time.Timer

	requests int
	reply    string // of the request under way
	left     int    // deliveries that it may still bring; 0 when none is under way
	asked    int
	tail     bool // events may have a trace
	single   bool // the next message is larger than the bytes that were asked for
	limits   pullLimits
	largest  int // payload so far, in bytes
}

// newPuller subscribes an inbox on a connection. At most room deliveries are asked for at once.
func (l *Store) newPuller(kind string, conn carrier, room int, config jetstream.ConsumerConfig) (*puller, error) {
	inbox := conn.nc.NewInbox()
	p := &puller{
		log: l, conn: conn, inbox: inbox, config: config,
		name: l.opts.NamePrefix + "-" + kind + "-" + inbox[strings.LastIndexByte(inbox, '.')+1:],
		// Statuses need room too, and what a full channel drops costs a new consumer.
		msgs:    make(chan *nats.Msg, room+64),
		silence: l.opts.Heartbeat * 5 / 2,
		timer:   time.NewTimer(time.Hour),
	}
	sub, err := conn.nc.ChanSubscribe(inbox+".*", p.msgs)
	if err != nil {
		return nil, fmt.Errorf("jetstore: subscribe an inbox: %w", err)
	}
	p.sub = sub
	return p, nil
}

// close gives everything up without blocking on the network.
func (p *puller) close() {
	p.drop()
	p.timer.Stop()
	_ = p.sub.Unsubscribe() // fails only when the connection is closed
}

// drop gives the consumer up.
func (p *puller) drop() {
	if p.consumer != "" {
		p.log.counts.consumers.Add(-1)
		p.log.deletes.add(p.consumer)
	}
	p.consumer, p.left, p.single = "", 0, false
	for len(p.msgs) > 0 {
		<-p.msgs
	}
}

type createFunc func(context.Context, jetstream.ConsumerConfig) (created, error)

// open replaces the consumer by one that starts at from. It tries once.
func (p *puller) open(ctx context.Context, from uint64, create createFunc) (created, error) {
	p.drop()
	changed := p.conn.link.changed()
	if err := p.conn.link.err(); err != nil {
		return created{}, err
	}
	p.consumers++
	cfg := p.config
	cfg.Name = p.name + "-" + strconv.Itoa(p.consumers)
	if cfg.DeliverPolicy == jetstream.DeliverByStartSequencePolicy {
		cfg.OptStartSeq = from
	}
	made, err := p.log.within(create)(ctx, cfg)
	if err != nil {
		return made, err
	}
	p.log.counts.consumers.Add(1)
	p.consumer, p.delivery, p.changed, p.limits = cfg.Name, 0, changed, made.Config
	return made, nil
}

// asking reports whether a pull request is under way.
func (p *puller) asking() bool { return p.left > 0 }

// waiting reports that nothing has come that was not read, and that more would: whoever is behind
// then is not so by its own slowness.
func (p *puller) waiting() bool { return p.asking() && len(p.msgs) == 0 }

// assumedSize is how large the messages of a last-per-subject consumer are taken to be until a larger
// one was seen. nats-server (2.15.2) drops a message of such a consumer that does not fit into what is
// left of max_bytes, so that its requests are bounded by their number alone: the first one may
// bring more than it should, by as much as messages are larger than this.
const assumedSize = 4 << 10

// ask sends a pull request for up to batch messages and bytes.
func (p *puller) ask(ctx context.Context, batch, bytes int) error {
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
	p.left, p.asked = batch, batch
	body := fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`,
		batch, bytes, expires, min(p.log.opts.Heartbeat, expires/2))
	subject := p.log.prefix + "CONSUMER.MSG.NEXT." + p.log.opts.Stream + "." + p.consumer
	return p.conn.nc.PublishRequest(subject, p.reply, body)
}

type kind int

const (
	ignored kind = iota
	delivered
	idle    // the consumer lives and has nothing
	over    // the request has ended before its batch was full
	expired // so it has, without having brought anything
	leader  // the stream's leader has answered a probe
)

type delivery struct {
	kind    kind
	event   feed.Event
	pending uint64
	state   feed.State // of leader
}

// level reports that the consumer says that it has no more.
func (d delivery) level() bool { return d.kind == idle || d.kind == delivered && d.pending == 0 }

// next waits for something to come of the request under way. An error other than the
// context's says that the consumer must be replaced.
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
		return nil, errLink
	case <-p.timer.C:
		return nil, errSilent
	}
}

// classify goes by the reply subject alone: an empty message whose publisher gave it a
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
	ev := p.log.event(msg, m)
	if p.tail {
		ev.Expires = expires(ev.Time, msg.Header)
		p.log.trace(&ev, msg.Header)
	}
	return delivery{kind: delivered, event: ev, pending: m.pending}, nil
}

// status reads a word of the server; ADR-37 and the server's consumer.go list them.
func (p *puller) status(msg *nats.Msg) (delivery, error) {
	if msg.Subject == p.probeReply() {
		return p.probed(msg), nil
	}
	if msg.Subject != p.reply || !p.asking() {
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
		return delivery{}, errors.New("the consumer is gone: nobody takes its pull requests")
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
		p.single = p.left == p.asked
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
	if p.left == p.asked {
		d.kind = expired
	}
	p.left = 0
	return d
}

// probeReply is where the answer to a probe of the present consumer's time comes.
func (p *puller) probeReply() string { return p.inbox + ".leader-" + strconv.Itoa(p.consumers) }

// probe asks the stream's leader for its state. The answer is one more thing that comes, of the
// kind leader; none comes where the leader does not answer.
func (p *puller) probe() error {
	return p.conn.nc.PublishRequest(p.log.prefix+"STREAM.INFO."+p.log.opts.Stream, p.probeReply(), nil)
}

func (p *puller) probed(msg *nats.Msg) delivery {
	var info streamInfo
	if decode(msg.Data, &info) != nil {
		return delivery{}
	}
	return delivery{kind: leader, state: info.state()}
}
