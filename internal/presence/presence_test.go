package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/presence"
)

func TestNodesSeeEachOther(t *testing.T) {
	c := newCluster(t)
	a, b, d := c.node("a", nil), c.node("b", nil), c.node("d", nil)
	first := a.add("42")
	at := "17-e1"
	first.at.Store(&at)
	b.add("42")
	b.add("7")
	b.add("") // anonymous
	d.awaitCount(4, presence.Query{})
	d.awaitNodes("a=1 b=3 d=0")

	for _, got := range d.awaitCount(2, presence.Query{User: "42"}) {
		if got.User != "42" || got.Feed != "news" || got.Remote != "192.0.2.7:1234" || got.ID != got.Node+"-1" || time.Since(got.Since) > time.Hour {
			t.Errorf("%+v", got)
		}
		if got.Node == "a" && got.Position != at {
			t.Errorf("%+v: want the position %s", got, at)
		}
	}
	d.awaitCount(1, presence.Query{User: "42", Node: "b"})
	d.awaitCount(3, presence.Query{Node: "b"})
	d.awaitCount(0, presence.Query{Feed: "other"})
	d.awaitCount(0, presence.Query{User: "nobody"})

	a.Disconnected(first, "gone")
	d.awaitCount(1, presence.Query{User: "42"})
	b.stop() // removes its entries
	d.awaitCount(0, presence.Query{})
	d.awaitNodes("a=0 d=0")
}

func TestPages(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	a.addMany("u%s", 100)
	b.addMany("%.0s", 50) // anonymous
	b.addMany("u%.0s", 70)
	a.awaitCount(220, presence.Query{})
	for _, limit := range []int{1, 7, 219, 220, 221} {
		all, err := a.list(presence.Query{Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, got := range all {
			seen[got.ID] = true
		}
		if len(all) != 220 || len(seen) != 220 {
			t.Errorf("by %d: %d connections, %d different", limit, len(all), len(seen))
		}
	}
	for _, q := range []presence.Query{{After: "x"}, {After: "64.a"}, {After: "-1.a"}, {Node: "*"}, {Node: "a.>"}, {Node: ">"}} {
		if page, err := a.List(t.Context(), q); err == nil || errors.Is(err, presence.ErrUnavailable) {
			t.Errorf("%+v: %v, %v", q, page, err)
		}
	}
}

// The entries of a node that loses its connection to NATS expire.
func TestAbandoned(t *testing.T) {
	c := newCluster(t)
	ttl := func(o *presence.Options) { o.TTL = 5 * time.Second }
	a, b := c.node("a", ttl), c.node("b", ttl)
	a.add("42")
	b.add("7")
	b.awaitCount(2, presence.Query{})
	a.nc.Close()
	a.stop()
	b.awaitCount(1, presence.Query{})
	b.awaitNodes("b=1")
	// The other node refreshes its entries.
	writes := b.Status().Writes
	b.eventually("two lifetimes of refreshing", func() bool {
		if all, err := b.list(presence.Query{}); err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		return b.Status().Writes > writes+12
	})
}

// During a storm of connects, the number of writes is limited.
func TestStorm(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	a.awaitNodes("a=0 b=0")
	all := a.addMany("user%s", 2000)
	b.awaitCount(2000, presence.Query{})
	a.removeAll(all)
	b.awaitCount(0, presence.Query{})
	js, err := jetstream.New(c.dial())
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "KV_TIDEMARK_PRESENCE")
	if err != nil {
		t.Fatal(err)
	}
	// A round writes each shard once. A storm may take several rounds.
	if n := s.CachedInfo().State.LastSeq; n > 1000 {
		t.Errorf("4000 changes took %d messages", n)
	} else {
		t.Logf("4000 changes took %d messages, %d bytes", n, a.Status().Bytes)
	}
}

// The connections of one user need several values, and later fewer.
func TestLargeShard(t *testing.T) {
	c := newCluster(t)
	a := c.node("a", nil)
	all := a.addMany("one%.0s", 6000)
	got := a.awaitCount(6000, presence.Query{User: "one"})
	ids := map[string]bool{}
	for _, g := range got {
		ids[g.ID] = true
	}
	if len(ids) != 6000 {
		t.Errorf("%d different ids", len(ids))
	}
	a.removeAll(all[10:])
	a.awaitCount(10, presence.Query{User: "one"})
}

// NATS is down while clients connect and disconnect.
func TestOutage(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	first := a.addMany("early%s", 50)
	b.add("steady")
	b.awaitCount(51, presence.Query{})
	c.stop()
	a.removeAll(first[:20])
	a.eventually("the outage is noticed", func() bool { return a.Status().Error != "" })
	a.addMany("late%s", 7)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	if _, err := b.List(ctx, presence.Query{}); !errors.Is(err, presence.ErrUnavailable) {
		t.Errorf("without NATS: %v", err)
	}
	cancel()
	c.start() // the bucket was in memory and is lost
	b.awaitCount(38, presence.Query{})
	b.awaitNodes("a=37 b=1")
	b.eventually("all is well", func() bool { return a.Status().Error == "" && b.Status().Error == "" })
}

// The bucket is deleted.
func TestBucketDeleted(t *testing.T) {
	c := newCluster(t)
	a := c.node("a", func(o *presence.Options) { o.TTL = 2 * time.Second })
	a.addMany("u%s", 30)
	a.awaitCount(30, presence.Query{})
	js, err := jetstream.New(c.dial())
	if err == nil {
		err = js.DeleteKeyValue(t.Context(), "TIDEMARK_PRESENCE")
	}
	if err != nil {
		t.Fatal(err)
	}
	a.awaitCount(30, presence.Query{})
}

// A killed node that restarts under the same name finds its old entries.
func TestSameName(t *testing.T) {
	c := newCluster(t)
	dead, b := c.node("a", nil), c.node("b", nil)
	dead.addMany("u%s", 100)
	b.awaitCount(100, presence.Query{})
	dead.nc.Close()
	dead.stop()
	again := c.node("a", nil)
	again.add("u3")
	b.awaitCount(1, presence.Query{})
}

func TestOddUsers(t *testing.T) {
	c := newCluster(t)
	a := c.node("a", nil)
	odd := []string{"ünïcödé", "a:b", "x@y", "$JS", "-", "_", `"quote"`, "\u200b", "日本", "<script>", "%2e", strings.Repeat("x", 255)}
	for _, user := range odd {
		a.add(user)
	}
	a.awaitCount(len(odd), presence.Query{})
	for _, user := range odd {
		if got := a.awaitCount(1, presence.Query{User: user}); got[0].User != user {
			t.Errorf("%q came back as %q", user, got[0].User)
		}
	}
}

func TestNoLifetime(t *testing.T) {
	c := newCluster(t)
	js, err := jetstream.New(c.dial())
	if err == nil {
		_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "FOREVER"})
	}
	if err != nil {
		t.Fatal(err)
	}
	a := c.node("a", func(o *presence.Options) { o.Bucket = "FOREVER" })
	a.eventually("it is refused", func() bool { return strings.Contains(a.Status().Error, "lifetime") })
}

// An invalid value does not hide the others.
func TestOddValues(t *testing.T) {
	c := newCluster(t)
	a := c.node("a", nil)
	a.add("42")
	a.awaitCount(1, presence.Query{User: "42"})
	js, err := jetstream.New(c.dial())
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "TIDEMARK_PRESENCE")
	if err != nil {
		t.Fatal(err)
	}
	for i, bad := range []string{"x", "{}", "\x1f\x8b", "\x1f\x8bnot packed", "null", `[{"since":1}]`} {
		for shard := range presence.Shards {
			if _, err := kv.PutString(t.Context(), fmt.Sprintf("bad%d.%02d.0", i, shard), bad); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := kv.PutString(t.Context(), fmt.Sprintf("bad%d.node", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	a.awaitCount(1, presence.Query{})
	a.awaitNodes("a=1")
}

func TestEvents(t *testing.T) {
	c := newCluster(t)
	nc := c.dial()
	sub, err := nc.SubscribeSync("tidemark.presence.>")
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	a := c.node("a", func(o *presence.Options) { o.Events = "tidemark.presence" })
	users := []string{"42", "", "_", "a.b *>", "é"}
	for _, user := range users {
		a.Disconnected(a.add(user), "gone")
	}
	var subjects []string
	for i := range 10 {
		m, err := sub.NextMsg(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, strings.TrimPrefix(m.Subject, "tidemark.presence."))
		var ev presence.Event
		if err := json.Unmarshal(m.Data, &ev); err != nil {
			t.Fatal(err)
		}
		wantReason := ""
		if i%2 == 1 {
			wantReason = "gone"
		}
		if ev.User != users[i/2] {
			t.Errorf("%s: user %q", m.Subject, ev.User)
		}
		if ev.Node != "a" || ev.Feed != "news" || ev.ID != fmt.Sprintf("a-%d", i/2+1) || ev.Reason != wantReason || ev.At.IsZero() {
			t.Errorf("%+v", ev)
		}
	}
	want := []string{
		"connected.42", "disconnected.42", "connected", "disconnected", "connected._", "disconnected._",
		"connected.a%2Eb%20%2A%3E", "disconnected.a%2Eb%20%2A%3E", "connected.é", "disconnected.é",
	}
	if !slices.Equal(subjects, want) {
		t.Errorf("subjects %q", subjects)
	}
	if s := a.Status(); s.Events != 10 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

// A full queue does not block.
func TestEventsDropped(t *testing.T) {
	c := newCluster(t)
	c.stop()
	nc, err := nats.Connect("nats://"+c.addr, nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := presence.New(nc, js, presence.Options{Node: "a", Events: "p", EventQueue: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 15 {
		p.Connected(&conn{who: presence.ConnInfo{ID: uint64(i)}})
	}
	if s := p.Status(); s.Dropped != 5 || s.Connections != 15 {
		t.Errorf("%+v", s)
	}
}

func TestNames(t *testing.T) {
	for _, bad := range []string{"", "a.b", "*", ">", "a b", "é", strings.Repeat("x", 65), "a/b"} {
		if err := presence.CheckNode(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	a, b := presence.DefaultNode(), presence.DefaultNode()
	if a == b || presence.CheckNode(a) != nil {
		t.Errorf("%q, %q", a, b)
	}
	for _, bad := range []string{"", "a.*", ">", "a..b", "a b", ".a", strings.Repeat("x", 241)} {
		if err := presence.CheckPrefix(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
