package jetstore_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/publish"
)

// In a domain, the API has another prefix and deliveries a longer reply subject.
func TestDomain(t *testing.T) {
	srv := natstest.StartServer(t, func(o *server.Options) { o.JetStream, o.JetStreamDomain = true, "hub" })
	s := &harness{&natstest.Harness{T: t, Conn: natstest.Connect(t, natsconn.Options{URL: srv.ClientURL()})}}
	var err error
	if s.JS, err = jetstream.NewWithDomain(s.Conn, "hub"); err != nil {
		t.Fatal(err)
	}
	s.CreateStream(jetstream.StreamConfig{})
	p, err := publish.New(s.Conn, publish.Options{Domain: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l := s.open(jetstore.Options{Domain: "hub"})
	if r := p.Publish(t.Context(), make100()...)[99]; r.Err != nil || r.Ack.Position.Epoch != s.epoch(l) {
		t.Errorf("published: %+v", r)
	}
	if got, _ := s.read(l, feed.ReadOptions{From: 1, To: 100}); len(got) != 100 {
		t.Errorf("read %d events", len(got))
	}
}

// The permissions that the package documentation lists are all that a reader needs.
func TestPermissionsAreEnough(t *testing.T) {
	api := func(op string) string { return "$JS.API." + op + "." + natstest.StreamName }
	allowed := []string{
		api("STREAM.INFO"), api("STREAM.MSG.GET"), api("CONSUMER.CREATE") + ".>",
		api("CONSUMER.MSG.NEXT") + ".>", api("CONSUMER.DELETE") + ".>",
	}
	srv := natstest.StartServer(t, func(o *server.Options) {
		o.JetStream = true
		o.Users = []*server.User{{Username: "admin", Password: "x"}, {Username: "reader", Password: "x", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: allowed},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}}
	})
	s := &harness{&natstest.Harness{T: t, Conn: natstest.Connect(t, natsconn.Options{URL: srv.ClientURL(), User: "admin", Password: "x"})}}
	var err error
	if s.JS, err = jetstream.New(s.Conn); err != nil {
		t.Fatal(err)
	}
	s.CreateStream(jetstream.StreamConfig{})
	s.PublishMany(100, "notifications.n")
	l := s.openOn(natstest.Connect(t, natsconn.Options{URL: srv.ClientURL(), User: "reader", Password: "x"}), jetstore.Options{})
	if got, _ := s.read(l, feed.ReadOptions{From: 1, To: 100, Filters: []string{"notifications.n"}}); len(got) != 100 {
		t.Errorf("read %d events", len(got))
	}
	if _, err := l.SeqAt(s.Ctx(), time.Now()); err != nil {
		t.Error(err)
	}
	c := counter{t: t}
	c.follow(s.Ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, 99, func(int) {})
	s.Await("consumers are deleted", func() bool { return len(s.Consumers("tidemark-")) == 0 })
}
