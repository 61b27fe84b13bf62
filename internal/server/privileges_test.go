package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/microservice"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/subject"
)

// TestPrivileges_DocumentedUsers_SufficeForTheNode runs the whole node with only the documented permissions.
func TestPrivileges_DocumentedUsers_SufficeForTheNode(t *testing.T) {
	for _, user := range []string{userFull, userProvision, userRead, userPresence} {
		t.Run(user, func(t *testing.T) {
			g := startGuarded(t, nil)
			publishing, provisioning := user == userFull || user == userProvision, user == userProvision
			if !provisioning {
				g.createStream(testStream())
			}
			r := g.node(user, func(o *server.Options) {
				o.Publish.Enabled = publishing
				if user == userPresence {
					withEverything(o)
				}
			})
			r.awaitReady()
			r.publish("notifications.broadcast", 1, 5)
			r.awaitReady()
			everyStart(r)
			throughARestart(g, r, publishing)
			gaps(r)
			if user == userPresence {
				present(r)
			}
			r.eventually("consumers of replays are deleted", func() bool { return len(r.consumers()) == 1 })
			recreated(g, r, publishing, provisioning)
			r.stop()
			if left := r.consumers(); len(left) > 0 {
				t.Errorf("remaining consumers: %v", left)
			}
			g.wantNoViolation()
		})
	}
}

func (g *guarded) createStream(cfg jetstream.StreamConfig) {
	g.t.Helper()
	js, err := jetstream.New(g.dial(userOperator))
	if err == nil {
		_, err = js.CreateStream(g.t.Context(), cfg)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

func (r *harness) consumers() (names []string) {
	r.t.Helper()
	list := r.stream().ConsumerNames(r.t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		r.t.Fatal(err)
	}
	return names
}

// withEverything enables all optional features.
func withEverything(o *server.Options) {
	withPresence("a")(o)
	o.Publish.Enabled, o.Node.Micro, o.Presence.Events = false, true, "tidemark.presence"
}

// present uses the optional features after a restart of the NATS server.
func present(r *harness) {
	r.t.Helper()
	heard, err := r.nc.SubscribeSync("tidemark.presence.connected.42")
	if err == nil {
		err = r.nc.Flush()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	l := r.listen(me, "")
	l.want("tidemark.open")
	if _, err := heard.NextMsg(20 * time.Second); err != nil {
		r.t.Error(err)
	}
	r.awaitConnections("/connections/42", 1)
	l.cancel()
	r.awaitConnections("/connections/42", 0)
	queryServices(r.t, r.nc, "$SRV.INFO.tidemark", 1)
	queryServices(r.t, r.nc, microservice.StatusSubject, 1)
}

// everyStart starts at each of five events, from memory and from the stream, with one filter and with several.
func everyStart(r *harness) {
	r.t.Helper()
	for _, path := range []string{"/events?user=42", "/replayed?user=42", "/events?", "/replayed?"} {
		for _, from := range []struct {
			query, id string
			first     int
		}{{"", "2", 3}, {"&from=all", "", 1}, {"&from=3", "", 3}, {"&from=last", "", 5}, {"&from=1h", "", 1}} {
			l := r.listen(path+from.query, from.id)
			l.want("tidemark.open")
			l.wantNumbers(from.first, 5)
			l.cancel()
		}
	}
}

// throughARestart publishes the sixth event over HTTP where that is on, and the seventh after a restart of the
// NATS server.
func throughARestart(g *guarded, r *harness, publishing bool) {
	r.t.Helper()
	live := r.listen(me, "")
	live.want("tidemark.open")
	status, answer := r.post("/publish", `{"subject":"notifications.broadcast","data":"6"}`)
	if publishing && (status != http.StatusOK || !strings.Contains(fmt.Sprint(answer["position"]), "-")) {
		r.t.Errorf("publish: %d %v", status, answer)
	}
	if !publishing {
		if status != http.StatusNotFound {
			r.t.Errorf("publish where it is off: %d %v", status, answer)
		}
		r.publish("notifications.broadcast", 6, 6)
	}
	live.wantNumbers(6, 6)
	g.stop()
	r.eventually("not ready without NATS", func() bool { return r.status("/readyz") == http.StatusServiceUnavailable })
	g.start()
	r.awaitReady()
	r.eventually("the operator is connected again", r.nc.IsConnected)
	r.publish("notifications.broadcast", 7, 7)
	live.wantNumbers(7, 7)
	for _, path := range []string{"/events?user=42", "/replayed?user=42"} {
		l := r.listen(path, "5")
		l.want("tidemark.open", "6", "7")
		l.cancel()
	}
	live.cancel()
}

// gaps deletes an event in between, and then purges the first four.
func gaps(r *harness) {
	r.t.Helper()
	if err := r.stream().DeleteMsg(r.t.Context(), 3); err != nil {
		r.t.Fatal(err)
	}
	l := r.listen("/replayed?user=42", "1")
	l.want("tidemark.open", "tidemark.gap possible", "2", "4", "5", "6", "7")
	l.cancel()
	if err := r.stream().Purge(r.t.Context(), jetstream.WithPurgeSequence(5)); err != nil {
		r.t.Fatal(err)
	}
	l = r.listen("/replayed?user=42", "1")
	l.want("tidemark.open", "tidemark.gap trimmed", "5", "6", "7")
	l.cancel()
}

// recreated deletes the stream while a client is live, and creates it again.
func recreated(g *guarded, r *harness, publishing, provisioning bool) {
	r.t.Helper()
	live := r.listen(me, "")
	live.want("tidemark.open")
	r.deleteStream()
	if publishing {
		want := http.StatusUnprocessableEntity
		if provisioning {
			want = http.StatusServiceUnavailable // the node created the stream, and does so again
		}
		status, answer := r.post("/publish", `{"subject":"notifications.broadcast","data":"lost"}`)
		if status != want {
			r.t.Errorf("publish without a stream: %d %v, want %d", status, answer, want)
		}
	}
	if provisioning {
		r.eventually("the node creates the stream again", func() bool {
			_, err := r.js.Stream(r.t.Context(), "NOTIFICATIONS")
			return err == nil
		})
	} else {
		g.createStream(testStream())
	}
	r.publish("notifications.broadcast", 11, 12)
	live.want("tidemark.gap epoch")
	live.wantNumbers(11, 12)
	live.cancel()
}

// needs are actions of a node that need a permission. Without the permission of an entry each causes a violation
// that names it, and no other violation.
var needs = map[string]struct {
	prepare func(g *guarded) // in place of creating the stream
	change  func(*server.Options)
	do      func(g *guarded, r *harness)
}{
	// A node needs these from the start.
	"$JS.API.STREAM.INFO.NOTIFICATIONS":         {},
	"$JS.API.CONSUMER.CREATE.NOTIFICATIONS.>":   {},
	"$JS.API.CONSUMER.MSG.NEXT.NOTIFICATIONS.*": {},
	"_INBOX.*.*":       {},
	revocation.Subject: {},
	"$JS.API.STREAM.INFO.TIDEMARK_REVOCATIONS":         {},
	"$JS.API.STREAM.CREATE.TIDEMARK_REVOCATIONS":       {},
	"$JS.API.CONSUMER.CREATE.TIDEMARK_REVOCATIONS.>":   {},
	"$JS.API.CONSUMER.MSG.NEXT.TIDEMARK_REVOCATIONS.*": {},
	"$JS.API.CONSUMER.DELETE.TIDEMARK_REVOCATIONS.*":   {do: func(_ *guarded, r *harness) { r.stop() }},
	"$JS.API.STREAM.CREATE.NOTIFICATIONS":              {prepare: func(*guarded) {}},
	"$JS.API.STREAM.UPDATE.NOTIFICATIONS": {
		prepare: func(g *guarded) {
			cfg := testStream()
			cfg.MaxMsgs = 1000
			g.createStream(cfg)
		},
		change: func(o *server.Options) { o.ApplyStreams = true },
	},
	"$JS.API.STREAM.MSG.GET.NOTIFICATIONS": {do: func(_ *guarded, r *harness) { r.attempt(http.MethodGet, "/replayed?from=1h", "") }},
	"$JS.API.CONSUMER.DELETE.NOTIFICATIONS.*": {do: func(_ *guarded, r *harness) {
		l := r.listen("/replayed", "0")
		l.want("tidemark.open", "1")
		l.cancel()
	}},
	"notifications.>": {do: func(_ *guarded, r *harness) {
		r.attempt(http.MethodPost, "/publish", `{"subject":"notifications.broadcast","data":"1"}`)
	}},
	// A node with all optional features needs these from the start.
	"$JS.API.STREAM.INFO.KV_TIDEMARK_PRESENCE": {},
	"$JS.API.DIRECT.GET.KV_TIDEMARK_PRESENCE":  {},
	"$JS.API.INFO": {},
	"$JS.API.STREAM.CREATE.KV_TIDEMARK_PRESENCE": {},
	"$KV.TIDEMARK_PRESENCE.>":                    {},
	"$SRV.>":                                     {},
	microservice.StatusSubject:                   {},
	"tidemark.presence.>": {do: func(_ *guarded, r *harness) {
		r.listen(me, "").want("tidemark.open")
	}},
	"$JS.API.STREAM.NAMES": {do: func(_ *guarded, r *harness) {
		r.deleteStream()
		r.attempt(http.MethodPost, "/publish", `{"subject":"notifications.broadcast","data":"1"}`)
	}},
}

// attempt sends a request whose answer may never come.
func (r *harness) attempt(method, path, body string) {
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	var trying sync.WaitGroup
	trying.Go(func() {
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	})
	r.t.Cleanup(func() { cancel(); trying.Wait() })
}

// TestPrivileges_EachPermission_IsNeeded removes each documented permission in turn. It tests the users that have
// all of them. TestPrivileges_DocumentedUsers_DifferAsDescribed compares the other users with them.
func TestPrivileges_EachPermission_IsNeeded(t *testing.T) {
	g := startGuarded(t, nil)
	all, read, optional := g.permissions(userProvision), g.permissions(userRead), g.permissions(userPresence)
	for _, dropped := range slices.Concat(all.Publish.Allow, all.Subscribe.Allow) {
		t.Run(dropped, func(t *testing.T) { minimal(t, userProvision, dropped) })
	}
	for _, dropped := range slices.Concat(optional.Publish.Allow[len(read.Publish.Allow):], optional.Subscribe.Allow[len(read.Subscribe.Allow):]) {
		t.Run(dropped, func(t *testing.T) { minimal(t, userPresence, dropped) })
	}
}

func minimal(t *testing.T, user, dropped string) {
	need, known := needs[dropped]
	if !known {
		t.Fatal("the table has no action that needs it")
	}
	g := startGuarded(t, func(name string, p *natsserver.Permissions) {
		if name == user {
			p.Publish.Allow = without(p.Publish.Allow, dropped)
			p.Subscribe.Allow = without(p.Subscribe.Allow, dropped)
		}
	})
	if need.prepare != nil {
		need.prepare(g)
	} else {
		g.createStream(testStream())
	}
	if !strings.HasSuffix(dropped, "STREAM.CREATE."+revocation.Stream) {
		// Else the test may stop nats-server while it creates the stream, and one of its goroutines remains.
		g.createStream(jetstream.StreamConfig{Name: revocation.Stream, Subjects: []string{revocation.Subject}})
	}
	change := need.change
	if user == userPresence {
		change = withEverything
	}
	r := g.node(user, change)
	if need.do != nil {
		r.awaitReady()
		r.publish("notifications.broadcast", 1, 1)
		need.do(g, r)
	}
	r.eventually("a violation", func() bool { return len(g.seen()) > 0 })
	for _, v := range g.seen() {
		if subj := quoted.FindStringSubmatch(v); subj == nil || !subject.Subset(subj[1], dropped) {
			t.Errorf("another violation: %s", v)
		}
	}
}

// quoted finds the subject in a violation message of the server or nats.go.
var quoted = regexp.MustCompile(`(?:Subject|Publish to|Subscription to) "([^"]+)"`)

// without never returns an empty list, which would allow everything.
func without(allow []string, dropped string) []string {
	left := slices.DeleteFunc(slices.Clone(allow), func(s string) bool { return s == dropped })
	if len(left) == 0 {
		return []string{"nothing.at.all"}
	}
	return left
}

// TestPrivileges_DocumentedUsers_DifferAsDescribed compares the permissions of the documented users.
func TestPrivileges_DocumentedUsers_DifferAsDescribed(t *testing.T) {
	g := startGuarded(t, nil)
	all := g.permissions(userProvision)
	provisions := []string{"$JS.API.STREAM.CREATE.NOTIFICATIONS", "$JS.API.STREAM.UPDATE.NOTIFICATIONS"}
	publishes := []string{"$JS.API.STREAM.NAMES", "notifications.>"}
	optional := g.permissions(userPresence)
	read := g.permissions(userRead)
	if n, m := len(read.Publish.Allow), len(read.Subscribe.Allow); !slices.Equal(optional.Publish.Allow[:n], read.Publish.Allow) ||
		!slices.Equal(optional.Subscribe.Allow[:m], read.Subscribe.Allow) || optional.Response == nil || optional.Response.MaxMsgs != 1 {
		t.Errorf("%s: %+v", userPresence, optional)
	}
	for user, lacks := range map[string][]string{userFull: provisions, userRead: slices.Concat(provisions, publishes)} {
		p := g.permissions(user)
		want := all.Publish.Allow
		for _, subject := range lacks {
			want = without(want, subject)
		}
		if !slices.Equal(p.Publish.Allow, want) || !slices.Equal(p.Subscribe.Allow, all.Subscribe.Allow) {
			t.Errorf("%s: publish %q, subscribe %q", user, p.Publish.Allow, p.Subscribe.Allow)
		}
	}
}

// TestPrivileges_DocumentedUsers_AreKeptOut tries actions that the documented users must not be able to do.
func TestPrivileges_DocumentedUsers_AreKeptOut(t *testing.T) {
	g := startGuarded(t, nil)
	g.createStream(testStream())
	publishes := func(subject string) func(*nats.Conn) error {
		return func(nc *nats.Conn) error { return nc.Publish(subject, []byte(`{}`)) }
	}
	subscribes := func(subject string) func(*nats.Conn) error {
		return func(nc *nats.Conn) error { _, err := nc.SubscribeSync(subject); return err }
	}
	for _, user := range []string{userFull, userProvision, userRead, userPresence, userProducer} {
		tries := map[string]func(*nats.Conn) error{
			"delete the stream":         publishes("$JS.API.STREAM.DELETE.NOTIFICATIONS"),
			"purge it":                  publishes("$JS.API.STREAM.PURGE.NOTIFICATIONS"),
			"delete an event":           publishes("$JS.API.STREAM.MSG.DELETE.NOTIFICATIONS"),
			"restore it":                publishes("$JS.API.STREAM.RESTORE.NOTIFICATIONS"),
			"purge revocations":         publishes("$JS.API.STREAM.PURGE.TIDEMARK_REVOCATIONS"),
			"delete revocations":        publishes("$JS.API.STREAM.DELETE.TIDEMARK_REVOCATIONS"),
			"change revocations":        publishes("$JS.API.STREAM.UPDATE.TIDEMARK_REVOCATIONS"),
			"look at another stream":    publishes("$JS.API.STREAM.INFO.OTHER"),
			"read another stream":       publishes("$JS.API.CONSUMER.CREATE.OTHER.c.notifications.broadcast"),
			"create another stream":     publishes("$JS.API.STREAM.CREATE.OTHER"),
			"publish beside the stream": publishes("orders.1"),
			"revoke":                    publishes(revocation.Subject),
			"listen to events":          subscribes("notifications.>"),
			"listen to everything":      subscribes(">"),
			"listen to the API":         subscribes("$JS.>"),
		}
		if user == userPresence {
			tries["delete the bucket"] = publishes("$JS.API.STREAM.DELETE.KV_TIDEMARK_PRESENCE")
			tries["write to another bucket"] = publishes("$KV.OTHER.a")
			tries["change the bucket"] = publishes("$JS.API.STREAM.UPDATE.KV_TIDEMARK_PRESENCE")
			tries["listen to the bucket"] = subscribes("$KV.>")
		} else {
			tries["read presence"] = publishes("$JS.API.DIRECT.GET.KV_TIDEMARK_PRESENCE")
			tries["listen to who connects"] = subscribes("tidemark.presence.>")
		}
		if user == userRead || user == userPresence {
			tries["publish"] = publishes("notifications.broadcast")
		}
		if user == userProducer {
			tries["listen to deliveries"] = subscribes("_INBOX.>")
			tries["listen to a delivery"] = subscribes("_INBOX.a.1")
			tries["read the stream"] = publishes("$JS.API.STREAM.MSG.GET.NOTIFICATIONS")
		}
		for what, try := range tries {
			t.Run(user+"/"+what, func(t *testing.T) {
				refused := make(chan error, 1)
				nc := g.dial(user, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
					select {
					case refused <- err:
					default: // one violation suffices
					}
				}))
				if err := try(nc); err != nil {
					t.Fatal(err)
				}
				if err := nc.Flush(); err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-refused:
					if !errors.Is(err, nats.ErrPermissionViolation) {
						t.Error(err)
					}
				case <-time.After(20 * time.Second):
					t.Error("it was let through")
				}
				nc.Close()
			})
		}
	}
}

// TestPrivileges_OfProducers_SufficeForPublishing stores an event as the documented producer does.
func TestPrivileges_OfProducers_SufficeForPublishing(t *testing.T) {
	g := startGuarded(t, nil)
	g.createStream(testStream())
	js, err := jetstream.New(g.dial(userProducer, nats.CustomInboxPrefix("_INBOX_producer")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "notifications.broadcast", []byte("1")); err != nil {
		t.Error(err)
	}
	g.wantNoViolation()
}
