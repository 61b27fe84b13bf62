package feedhttp_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

// diary is an Observer that records its calls.
type diary struct {
	mu    sync.Mutex
	open  map[feedhttp.Conn]feedhttp.ConnInfo
	lines []string
}

func (d *diary) Connected(s feedhttp.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open = map[feedhttp.Conn]feedhttp.ConnInfo{}
	}
	d.open[s] = s.Info()
	d.lines = append(d.lines, "+"+s.Info().User)
}

func (d *diary) Disconnected(s feedhttp.Conn, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, s)
	d.lines = append(d.lines, "-"+s.Info().User+" "+reason)
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func TestObserver_EachConnection_HasBeginAndEnd(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		d := &diary{}
		admit := feedhttp.NewAdmission(feedhttp.Limits{Connections: 2})
		r := newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{Name: "news", Observer: d, Admission: admit}})
		first, _ := r.opened(t, "?user=anna")
		r.Publish("n.user.anna", "", []byte("1"))
		first.want(t, "1-e1")
		_, _ = r.opened(t, "?user=bert")
		r.subscribe(t, "?user=carl").ended(t) // beyond the limit

		var names []string
		for _, c := range r.handler.Connections() {
			if c.State == feedhttp.Ended || c.User == "carl" {
				continue // its end may not be reported yet
			}
			names = append(names, c.User)
			if c.ID == 0 || c.Feed != "news" || c.Since.IsZero() || c.State != feedhttp.Live || c.Filters != 2 {
				t.Errorf("%+v", c)
			}
			if addr, err := netip.ParseAddrPort(c.Remote); err != nil || !addr.Addr().IsLoopback() {
				t.Errorf("remote %q", c.Remote)
			}
			if c.User == "anna" && (c.Position.Seq != 1 || c.Events != 1) {
				t.Errorf("%+v", c)
			}
		}
		if slices.Sort(names); !slices.Equal(names, []string{"anna", "bert"}) {
			t.Errorf("there are %q", names)
		}
		first.resp.Body.Close()
		r.await(t, "the end is told", func() bool { return slices.Contains(d.read(), "-anna gone") })
		if err := r.handler.Drain(r.ctx, 0); err != nil {
			t.Fatal(err)
		}
		want := []string{"+anna", "+bert", "-anna gone", "-bert drain"}
		if got := d.read(); !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
}

func TestObserver_TrustedProxy_RemoteIsTheClient(t *testing.T) {
	admit := feedhttp.NewAdmission(feedhttp.Limits{}, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	r := newHarness(t, setup{opts: feedhttp.SubscribeOptions{Admission: admit}})
	r.opened(t, "", "X-User", "anna", "X-Forwarded-For", "6.6.6.6, 203.0.113.7")
	r.await(t, "the stream", func() bool { return len(r.handler.Connections()) == 1 })
	if got := r.handler.Connections()[0].Remote; got != "203.0.113.7" {
		t.Errorf("remote %q", got)
	}
}
