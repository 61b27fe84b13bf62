package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// ErrUnavailable: what the nodes have written cannot be read now.
var ErrUnavailable = errors.New("presence cannot be read now")

// readBytes bounds an answer of the server, so that no reader is ever overrun.
const readBytes = 4 << 20

// read calls each with the latest value of every key that matches a filter. It blocks until
// the server has answered or ctx ends. There must be no more than 1024 keys.
//
// It is one request for many values, from whichever replica is near. jetstream has no call
// for that yet; a watch would make and delete a consumer for each read.
func (p *Presence) read(ctx context.Context, filter string, each func(key string, value []byte) error) error {
	inbox := p.nc.NewInbox() + ".read" // as the other inboxes: two tokens behind the prefix
	sub, err := p.nc.SubscribeSync(inbox)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is closed
	prefix := "$KV." + p.opts.Bucket + "."
	ask := batchGet{Filters: []string{prefix + filter}, MaxBytes: readBytes}
	for more := true; more; {
		text, err := json.Marshal(ask)
		if err == nil {
			err = p.nc.PublishRequest(p.api()+"DIRECT.GET.KV_"+p.opts.Bucket, inbox, text)
		}
		if err != nil {
			return unavailable(err)
		}
		if more, err = ask.receive(ctx, sub, prefix, each); err != nil {
			return err
		}
	}
	return nil
}

// api is the beginning of the subjects of JetStream's API, which has one for each domain.
func (p *Presence) api() string {
	switch o := p.js.Options(); {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return o.APIPrefix + "."
	}
	return "$JS.API."
}

// lastRequest is a batch of direct gets, as JetStream has it.
type batchGet struct {
	Filters  []string `json:"multi_last"`
	MaxBytes int      `json:"max_bytes"`
	// To go on where an answer was full, at the state of then.
	Seq  uint64 `json:"seq,omitempty"`
	UpTo uint64 `json:"up_to_seq,omitempty"`
}

// answers takes what comes for one request, and prepares the next.
func (r *batchGet) receive(ctx context.Context, sub *nats.Subscription, prefix string, each func(string, []byte) error) (more bool, err error) {
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return false, unavailable(err)
		}
		switch status := m.Header.Get("Status"); {
		case status == "204":
			return r.advance(m.Header)
		case status == "404":
			return false, nil
		case status == "503":
			return false, unavailable(errors.New("the bucket is not there"))
		case status != "":
			return false, unavailable(fmt.Errorf("%s %s", status, m.Header.Get("Description")))
		case len(m.Data) == 0: // a marker of what was purged
			continue
		}
		if err := each(strings.TrimPrefix(m.Header.Get("Nats-Subject"), prefix), m.Data); err != nil {
			return false, err
		}
	}
}

func (r *batchGet) advance(end nats.Header) (more bool, err error) {
	var pending, last uint64
	_, err = fmt.Sscan(end.Get("Nats-Num-Pending")+" "+end.Get("Nats-Last-Sequence")+" "+end.Get("Nats-UpTo-Sequence"), &pending, &last, &r.UpTo)
	if err != nil {
		return false, unavailable(fmt.Errorf("the end of an answer: %w", err))
	}
	r.Seq = last + 1
	return pending > 0, nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

// Nodes returns the nodes there are, by name. It blocks until the bucket was read or ctx
// ends. Errors are ErrUnavailable.
func (p *Presence) Nodes(ctx context.Context) ([]Node, error) {
	nodes := []Node{}
	err := p.read(ctx, nodeKey("*"), func(key string, value []byte) error {
		var n Node
		if err := json.Unmarshal(value, &n); err != nil {
			p.logInvalid(key, err)
			return nil
		}
		n.Name, _, _ = strings.Cut(key, ".")
		nodes = append(nodes, n)
		return nil
	})
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes, err
}

// odd tells of a value that no node of ours has written. The others are told all the same:
// nobody shall hide them by one bad value.
func (p *Presence) logInvalid(key string, err error) {
	p.opts.Logger.Warn("a value in the bucket of presence cannot be read; it is left out", "key", key, "error", err)
}

// readShard returns a shard's connections of all nodes or one, in the order of pages.
func (p *Presence) readShard(ctx context.Context, q Query, shard int) ([]Connection, error) {
	node := "*"
	if q.Node != "" {
		node = q.Node
	}
	var all []Connection
	err := p.read(ctx, shardKeys(node, shard)+"*", func(key string, value []byte) error {
		from, _, _ := strings.Cut(key, ".")
		list, err := decode(from, value)
		if err != nil {
			p.logInvalid(key, err)
		}
		for _, c := range list {
			if q.matches(c) {
				all = append(all, c)
			}
		}
		return nil
	})
	inOrder(all)
	return all, err
}
