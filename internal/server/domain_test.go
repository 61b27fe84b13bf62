package server_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
)

const inboxPrefix = "_INBOX_tidemark"

// hubAndLeaf runs a hub with the JetStream domain "hub" and a leaf node of it with the domain "leaf". The user
// "node" of the leaf may receive answers below inboxPrefix alone.
func hubAndLeaf(t *testing.T) (hub, leaf *natsserver.Server) {
	t.Helper()
	h := startRegion(t, "hub", func(o *natsserver.Options) {
		o.LeafNode.Host, o.LeafNode.Port = "127.0.0.1", natsserver.RANDOM_PORT
	})
	l := startRegion(t, "leaf", func(o *natsserver.Options) {
		remote := &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", h.opts.LeafNode.Port)}
		o.LeafNode.Remotes = []*natsserver.RemoteLeafOpts{{URLs: []*url.URL{remote}}}
		o.LeafNode.ReconnectInterval = 100 * time.Millisecond
		o.Users = []*natsserver.User{{Username: "admin", Password: "secret"}, {Username: "node", Password: "secret", Permissions: &natsserver.Permissions{
			Publish:   &natsserver.SubjectPermission{Allow: []string{">"}},
			Subscribe: &natsserver.SubjectPermission{Allow: []string{inboxPrefix + ".>", "$SRV.>", "tidemark.>"}},
		}}}
	})
	return h.nats, l.nats
}

// The whole node uses a leaf node, whose own JetStream must stay empty.
func TestDomain_NodeOnLeaf_UsesStreamsOfHub(t *testing.T) {
	for name, set := range map[string]func(*server.Options){
		"domain":     func(o *server.Options) { o.Domain = "hub" },
		"API prefix": func(o *server.Options) { o.APIPrefix = "$JS.hub.API" },
	} {
		t.Run(name, func(t *testing.T) {
			hub, leaf := hubAndLeaf(t)
			opts := options(t, leaf.ClientURL())
			opts.NATS.User, opts.NATS.Password, opts.NATS.InboxPrefix = "node", "secret", inboxPrefix
			replayed := opts.Feeds[0]
			replayed.Name, replayed.Paths, replayed.ReplayFromStore = "replayed", []string{"/replayed"}, true
			opts.Feeds = append(opts.Feeds, replayed)
			withPresence("a")(&opts)
			set(&opts)
			r := startNode(t, opts)
			r.connect(hub.ClientURL())
			r.awaitReady()
			status, answer := r.post("/publish", `{"subject":"notifications.broadcast","data":"1"}`)
			if status != 200 || !strings.Contains(fmt.Sprint(answer["position"]), "-") {
				t.Errorf("publish: %d %v", status, answer)
			}
			r.publish("notifications.broadcast", 2, 5)
			everyStart(r)
			l := r.listen(me, "")
			l.want("tidemark.open")
			r.awaitConnections("/connections/42", 1)
			l.cancel()
			if got, want := streamsOf(t, hub), []string{"KV_TIDEMARK_PRESENCE", "NOTIFICATIONS", revocation.Stream}; !slices.Equal(got, want) {
				t.Errorf("the hub has the streams %q, want %q", got, want)
			}
			if got := streamsOf(t, leaf, nats.UserInfo("admin", "secret")); len(got) > 0 {
				t.Errorf("the leaf node has the streams %q", got)
			}
		})
	}
}

func streamsOf(t *testing.T, srv *natsserver.Server, options ...nats.Option) (list []string) {
	t.Helper()
	nc, err := nats.Connect(srv.ClientURL(), options...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		list = append(list, name)
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func TestNew_FeedOfWorkQueue_IsRefused(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	opts := options(t, url)
	opts.Streams[0].Retention = jetstream.WorkQueuePolicy
	_, err := server.New(t.Context(), opts)
	if err == nil {
		t.Fatal("a node starts on a work queue")
	}
	for _, want := range []string{"feeds.notifications.stream", "stream NOTIFICATIONS", "retention", "workqueue"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
