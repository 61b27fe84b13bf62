package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/subject"
)

// probeToken is a token for nonexistent streams and subjects.
const probeToken = "tidemark-doctor"

// expectNowhere makes every stream reject the message, so that none stores it.
var expectNowhere = nats.Header{nats.ExpectedStreamHdr: {probeToken}}

// operation is a NATS operation of a node that requires a permission.
type operation struct {
	subscribe bool   // otherwise publish
	subject   string // the tested subject
	permit    string // the permission in the form of docs/operate/nats-permissions.md
	without   string // the consequence of the missing permission
	vital     bool   // the node or a configured function does not work without it
	header    nats.Header
	body      string
}

func publishing(permit, subject, without string, vital bool) operation {
	return operation{subject: subject, permit: permit, without: without, vital: vital}
}

// operations returns the operations of this configuration. exists reports whether a stream exists; missing
// streams have to be created.
func (d *doctor) operations(api string, exists func(stream string) bool) []operation {
	var all []operation
	for _, stream := range d.feedStreams() {
		all = append(all, d.readOperations(api, stream)...)
		if d.defined(stream) && !exists(stream) {
			all = append(all, publishing(api+"STREAM.CREATE."+stream, api+"STREAM.CREATE."+stream, "the stream is missing and cannot be created; create it yourself", true))
		}
		if d.Config.Streams.Apply && d.defined(stream) {
			all = append(all, publishing(api+"STREAM.UPDATE."+stream, api+"STREAM.UPDATE."+stream, "streams.apply cannot change streams", false))
		}
	}
	all = append(all, d.revocationOperations(api, exists)...)
	if d.Config.PublishEnabled() {
		all = append(all, d.publishOperations(api)...)
	}
	if d.Config.Presence.Enabled {
		all = append(all, d.presenceOperations(api, exists)...)
	}
	if d.Config.Node.Micro {
		all = append(all,
			operation{subscribe: true, subject: "$SRV.PING", permit: "$SRV.>", without: "nats micro does not show the node (node.micro)"},
			operation{subscribe: true, subject: d.StatusSubject, permit: d.StatusSubject, without: "tidemark status --all does not show the node (node.micro)"})
	}
	return all
}

// readOperations use empty or invalid bodies for requests that would create something.
func (d *doctor) readOperations(api, stream string) []operation {
	get := publishing(api+"STREAM.MSG.GET."+stream, api+"STREAM.MSG.GET."+stream, "connections that resume or start at a time receive nothing", true)
	get.body = `{"seq":1}`
	return []operation{
		publishing(api+"STREAM.INFO."+stream, api+"STREAM.INFO."+stream, "the node never becomes ready", true),
		get,
		publishing(api+"CONSUMER.CREATE."+stream+".>", api+"CONSUMER.CREATE."+stream+"."+probeToken+"."+probeToken, "no events are read", true),
		publishing(api+"CONSUMER.MSG.NEXT."+stream+".*", api+"CONSUMER.MSG.NEXT."+stream+"."+probeToken, "no events are read", true),
		publishing(api+"CONSUMER.DELETE."+stream+".*", api+"CONSUMER.DELETE."+stream+"."+probeToken, "consumers of replays stay for 30 s", false),
	}
}

func (d *doctor) revocationOperations(api string, exists func(string) bool) []operation {
	const lost = "revocations are lost when a node restarts"
	s := d.RevocationStream
	all := []operation{
		{subscribe: true, subject: d.RevokeSubject, permit: d.RevokeSubject, without: "revocations arrive late, or not at all"},
		publishing(api+"STREAM.INFO."+s, api+"STREAM.INFO."+s, lost, false),
		publishing(api+"CONSUMER.CREATE."+s+".>", api+"CONSUMER.CREATE."+s+"."+probeToken+"."+d.RevokeSubject, lost, false),
		publishing(api+"CONSUMER.MSG.NEXT."+s+".*", api+"CONSUMER.MSG.NEXT."+s+"."+probeToken, lost, false),
		publishing(api+"CONSUMER.DELETE."+s+".*", api+"CONSUMER.DELETE."+s+"."+probeToken, "its consumer stays for 30 s when the node stops", false),
	}
	if !exists(s) {
		all = append(all, publishing(api+"STREAM.CREATE."+s, api+"STREAM.CREATE."+s, lost+"; create the stream yourself, with the subject "+d.RevokeSubject, false))
	}
	return all
}

// publishOperations test one subject for each template of the feeds. No stream stores the message.
func (d *doctor) publishOperations(api string) []operation {
	all := []operation{publishing(api+"STREAM.NAMES", api+"STREAM.NAMES", "a publish to a subject that no stream stores fails with 503 after a wait, not with 422", false)}
	for _, f := range d.Config.Feeds {
		for _, text := range slices.Concat(f.Subjects, f.Allow) {
			if subject, ok := plainSubject(text); ok {
				all = append(all, operation{subject: subject, permit: subject + " (such as " + text + ")", without: "POST /publish responds with 503 for it", vital: true, header: expectNowhere})
			}
		}
	}
	return all
}

func (d *doctor) presenceOperations(api string, exists func(string) bool) []operation {
	const off = "GET /connections responds with 503"
	bucket := d.Config.Presence.Bucket
	stream := "KV_" + bucket
	direct := publishing(api+"DIRECT.GET."+stream, api+"DIRECT.GET."+stream, off, true)
	direct.body = `{"seq":1}`
	all := []operation{publishing(api+"STREAM.INFO."+stream, api+"STREAM.INFO."+stream, off, true), direct}
	if d.Config.NATS.Domain == "" && d.Config.NATS.APIPrefix == "" {
		all = append(all, operation{subject: "$KV." + bucket + "." + probeToken, permit: "$KV." + bucket + ".>", without: off, vital: true, header: expectNowhere})
	}
	if !exists(stream) {
		all = append(all,
			publishing(api+"INFO", api+"INFO", off+", as its bucket cannot be created; create it yourself", true),
			publishing(api+"STREAM.CREATE."+stream, api+"STREAM.CREATE."+stream, off+", as its bucket cannot be created; create it yourself", true))
	}
	if events := d.Config.Presence.Events; events != "" {
		all = append(all, operation{subject: events + "." + probeToken, permit: events + ".>", without: "presence.events publishes nothing", header: expectNowhere})
	}
	return all
}

// plainSubject replaces variables and wildcards by the probe's token.
func plainSubject(template string) (string, bool) {
	tokens := strings.Split(template, ".")
	for i, tok := range tokens {
		if tok == "*" || tok == ">" || strings.HasPrefix(tok, "{") {
			tokens[i] = probeToken
		}
	}
	subj := strings.Join(tokens, ".")
	return subj, subject.Check(subj) == nil
}

// permissions checks the node's permissions. They are known if the node uses the login of these checks.
func (d *doctor) permissions(ctx context.Context, nc *nats.Conn, all []operation) []Finding {
	if d.borrowed() {
		c := &check{name: "permissions"}
		c.skip("the node has its own login at the embedded server, which permits everything in its account")
		return c.found
	}
	return d.checkPermissions(ctx, nc, all)
}

// checkPermissions tests the operations one after the other, because a violation contains only its
// subject.
func (d *doctor) checkPermissions(ctx context.Context, nc *nats.Conn, all []operation) []Finding {
	c := &check{name: "permissions"}
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox + ".*")
	if err == nil {
		defer func() { _ = answers.Unsubscribe() }()
		err = violation(ctx, nc, inbox+".*")
	}
	if err != nil {
		c.problem(permit("subscribe", "_INBOX.*.*")+", or name another prefix in nats.inbox_prefix", "inboxes cannot be subscribed to, so no response arrives: %v", err)
		return c.found
	}
	for _, op := range all {
		denied := op.try(ctx, nc, inbox+".answer")
		switch {
		case denied == nil:
		case !errors.Is(denied, nats.ErrPermissionViolation):
			c.skip("not all permissions were tried: %v", denied)
			return c.found
		case op.vital:
			c.problem(permit(op.kind(), op.permit), "%s %s is not permitted: %s", op.kind(), op.subject, op.without)
		default:
			c.warn(permit(op.kind(), op.permit), "%s %s is not permitted: %s", op.kind(), op.subject, op.without)
		}
	}
	if c.fine() {
		c.ok("all %d operations of this configuration are permitted", len(all))
	}
	return c.found
}

func permit(kind, subject string) string {
	return fmt.Sprintf("permit the node's user to %s %q (docs/operate/nats-permissions.md has the list)", kind, subject)
}

func (op operation) kind() string {
	if op.subscribe {
		return "subscribe"
	}
	return "publish"
}

// try returns a permission violation, another error, or nil. It does not wait for a response.
func (op operation) try(ctx context.Context, nc *nats.Conn, inbox string) error {
	if op.subscribe {
		sub, err := nc.SubscribeSync(op.subject)
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }()
		return violation(ctx, nc, op.subject)
	}
	m := &nats.Msg{Subject: op.subject, Reply: inbox, Header: op.header, Data: []byte(op.body)}
	if err := nc.PublishMsg(m); err != nil {
		return err
	}
	return violation(ctx, nc, op.subject)
}

// probeTimeout limits one operation.
const probeTimeout = 2 * time.Second

// violation waits until the server has processed the sent message, and returns its violation of the
// subject. A server sends a violation before the response to a ping.
func violation(ctx context.Context, nc *nats.Conn, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return err
	}
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject+`"`) {
		return err
	}
	return nil
}
