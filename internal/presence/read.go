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

// ErrUnavailable means that the bucket cannot be read.
var ErrUnavailable = errors.New("presence is not available")

// readBytes limits the size of a response of the server, so that the subscription does not overflow.
const readBytes = 4 << 20

// read calls each with the latest value of every key that matches a filter. It blocks until the server has
// answered or ctx ends. At most 1024 keys may match.
//
// It uses a batch request, which any replica can answer. The client library has no function for that yet.
// A watch would create and delete a consumer for each read.
func (p *Presence) read(ctx context.Context, filter string, each func(key string, value []byte) error) error {
	inbox := p.nc.NewInbox() + ".read" // two tokens after the prefix, like other inboxes
	sub, err := p.nc.SubscribeSync(inbox)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only if the connection is closed
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

// api returns the prefix of JetStream's API subjects. It depends on the domain.
func (p *Presence) api() string {
	switch o := p.js.Options(); {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return o.APIPrefix + "."
	}
	return "$JS.API."
}

// batchGet is JetStream's request for a batch of direct gets.
type batchGet struct {
	Filters  []string `json:"multi_last"`
	MaxBytes int      `json:"max_bytes"`
	// For the next request after a full response, at the same state of the stream.
	Seq  uint64 `json:"seq,omitempty"`
	UpTo uint64 `json:"up_to_seq,omitempty"`
}

// receive receives the messages for one request, and prepares the next request.
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
			return false, unavailable(errors.New("the bucket does not exist"))
		case status != "":
			return false, unavailable(fmt.Errorf("%s %s", status, m.Header.Get("Description")))
		case len(m.Data) == 0: // a purge marker
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
		return false, unavailable(fmt.Errorf("invalid end of a response: %w", err))
	}
	r.Seq = last + 1
	return pending > 0, nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

// Nodes returns the nodes, sorted by name. It blocks until the bucket was read or ctx ends. Its errors
// wrap ErrUnavailable.
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

// logInvalid logs an invalid value. The other values are listed, so that one invalid value cannot hide
// them.
func (p *Presence) logInvalid(key string, err error) {
	p.opts.Logger.Warn("presence: invalid value; ignored", "key", key, "error", err)
}

// readShard returns the connections in a shard of all nodes or of one node, in the order of pages.
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
