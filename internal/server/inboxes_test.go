package server_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/auth"
)

// spy has the permissions of a producer, and returns all messages in the inboxes that it may subscribe to.
func spy(t *testing.T, url string) (received func() []string) {
	t.Helper()
	nc, err := nats.Connect(url, nats.UserInfo("orders", "p"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync("_INBOX.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() (list []string) {
		if err := nc.Flush(); err != nil { // the answer comes after all messages that the server has for the spy
			t.Fatal(err)
		}
		for n, _, _ := sub.Pending(); n > 0; n-- {
			m, err := sub.NextMsg(0)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, string(m.Data))
		}
		return list
	}
}

// everyAnswer makes the node read streams, events, presence and revocations.
func everyAnswer(r *harness) {
	r.t.Helper()
	r.publish("notifications.broadcast", 2, 5)
	everyStart(r)
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.awaitConnections("/connections/42", 1)
	if status, answer := r.post("/publish", `{"subject":"notifications.user.42","data":"secret"}`); status != 200 {
		r.t.Errorf("publish: %d %v", status, answer)
	}
	l.want("secret")
	l.cancel()
	r.revoke(auth.Revocation{User: "7"})
	r.eventuallyScrape(map[string]float64{"revocations": 1})
}

const producerAndOps = `{user: orders, password: p, permissions: {publish: "notifications.user.1", subscribe: "_INBOX.>"}}, {user: ops, password: p}`

// A producer may read the inboxes of its account, but receives no message for the node.
func TestInboxes_ProducerSubscribesToAll_ReceivesNothingOfNode(t *testing.T) {
	for name, c := range map[string]struct {
		conf   string
		change func(*server.Options)
	}{
		"nats.embedded.users": {"", func(o *server.Options) {
			hash, err := bcrypt.GenerateFromPassword([]byte("p"), bcrypt.MinCost)
			if err != nil {
				t.Fatal(err)
			}
			o.Embedded.ConfigFile = ""
			o.Embedded.Users = []natsd.User{
				{Name: "orders", PasswordHash: string(hash), Publish: []string{"notifications.user.1"}},
				{Name: "ops", PasswordHash: string(hash), Publish: []string{">"}, Subscribe: []string{">"}},
			}
		}},
		"users of a file":    {"authorization { users: [ " + producerAndOps + " ] }", nil},
		"users of accounts":  {"accounts { A { jetstream: enabled, users: [ " + producerAndOps + " ] } }", func(o *server.Options) { o.Embedded.Account = "A" }},
		"login of the node":  {"authorization { users: [ {user: node, password: p}, " + producerAndOps + " ] }", func(o *server.Options) { o.NATS.User, o.NATS.Password = "node", "p" }},
		"prefix of the node": {"authorization { users: [ " + producerAndOps + " ] }", func(o *server.Options) { o.NATS.InboxPrefix = "_IN.node" }},
	} {
		t.Run(name, func(t *testing.T) {
			opts, url := embedding(t, c.conf, func(o *server.Options) {
				replayed := o.Feeds[0]
				replayed.Name, replayed.Paths, replayed.ReplayFromStore = "replayed", []string{"/replayed"}, true
				o.Feeds = append(o.Feeds, replayed)
				withPresence("a")(o)
				withAdmin(o)
				if c.change != nil {
					c.change(o)
				}
			})
			r := startNode(t, opts)
			received := spy(t, url)
			r.awaitReady()
			r.producer(url, nats.UserInfo("ops", "p"), nats.CustomInboxPrefix("_INBOX_ops"))
			r.publish("notifications.broadcast", 1, 1)
			everyAnswer(r)
			if got := received(); len(got) > 0 {
				t.Errorf("a producer reads %d messages, such as %.200q", len(got), got[0])
			}
			// The spy receives messages for other clients of the account below _INBOX, so the test can fail.
			r.producer(url, nats.UserInfo("ops", "p"))
			r.publish("notifications.user.42", 7, 7)
			r.eventually("an acknowledgement in the usual inbox of another user", func() bool {
				return strings.Contains(strings.Join(received(), "\n"), `"stream":"NOTIFICATIONS"`)
			})
		})
	}
}

// A login for the node that may only use the default inboxes still works, and the log has the consequence.
func TestInboxes_NodeMayUseUsualOnesAlone_WorksAndWarns(t *testing.T) {
	const node = `{user: node, password: p, permissions: {publish: ">", subscribe: ["_INBOX.>", "$SRV.>", "tidemark.>"]}}`
	var log testkit.Log
	opts, url := embedding(t, "authorization { users: [ "+node+", "+producerAndOps+" ] }", func(o *server.Options) {
		o.NATS.User, o.NATS.Password = "node", "p"
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	r := startNode(t, opts)
	r.awaitReady()
	r.producer(url, nats.UserInfo("ops", "p"))
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.publish("notifications.user.42", 1, 3)
	l.wantNumbers(1, 3)
	lines := slices.Collect(strings.Lines(log.String()))
	if n := len(slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, "set nats.inbox_prefix") })); n != 1 {
		t.Errorf("%d lines name nats.inbox_prefix, want 1:\n%s", n, log.String())
	}
}
