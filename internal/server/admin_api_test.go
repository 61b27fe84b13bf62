package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/admin"
	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/auth"
)

// operate sends a request to the admin listener.
func (r *harness) operate(into any, method, path, body string, header ...string) int {
	r.t.Helper()
	resp, raw := r.request(method, r.admin(path), body, header...)
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			r.t.Fatalf("%s: %v", raw, err)
		}
	}
	return resp.StatusCode
}

func TestAdmin_Connections_AreListedAndFiltered(t *testing.T) {
	r := newHarness(t, withAdmin)
	for i := range 3 {
		l := r.listen(fmt.Sprintf("/events?user=%d", i%2), "")
		l.want("tidemark.open")
	}
	r.listen("/archive?user=9", "").want("tidemark.open")
	list := func(query string) (answer admin.ConnectionList) {
		t.Helper()
		if status := r.operate(&answer, "GET", "/admin/connections"+query, ""); status != http.StatusOK {
			t.Fatalf("%s: %d", query, status)
		}
		return answer
	}
	r.eventually("all connections", func() bool { return list("").Total == 4 })
	for query, want := range map[string]int{
		"?user=0": 2, "?user=7": 0, "?feed=archive": 1, "?feed=notifications&user=1": 1, "?limit=2": 4, "?sort=events": 4, "?state=waiting": 0,
	} {
		if got := list(query); got.Total != want {
			t.Errorf("%s: %+v, want %d", query, got, want)
		}
	}
	first := list("?limit=3")
	rest := list(fmt.Sprintf("?limit=3&after=%d", first.Next))
	if len(first.Connections) != 3 || len(rest.Connections) != 1 || rest.Next != 0 || rest.Connections[0].Feed != "archive" {
		t.Errorf("pages: %+v, %+v", first, rest)
	}
	for _, query := range []string{"?nosuch=1", "?limit=0", "?limit=x", "?sort=x", "?state=x", "?after=x", "?sort=user&after=1", "?user=1&user=2", "?%zz"} {
		if status := r.operate(nil, "GET", "/admin/connections"+query, ""); status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, status)
		}
	}
	var feeds struct{ Feeds []admin.FeedState }
	r.eventually("the feeds have caught up", func() bool {
		r.operate(&feeds, "GET", "/admin/feeds", "")
		return len(feeds.Feeds) == 2 && feeds.Feeds[0].Connections.Live == 1 && feeds.Feeds[1].Connections.Live == 3
	})
	if f := feeds.Feeds[1]; f.Name != "notifications" || f.Stream != "NOTIFICATIONS" || f.Tail.Lost != "" || f.Tail.Behind != 0 || len(f.Paths) != 3 || len(f.Allow) != 2 {
		t.Errorf("%+v", f)
	}
	var status health.Report
	if r.operate(&status, "GET", "/admin/status", ""); status.Detail == nil || status.Version != "1.2.3" || status.Connects != 4 || status.Started.IsZero() || status.ReplayBytes.Limit != 32<<20 {
		t.Errorf("%+v %+v", status, status.Detail)
	}
}

func TestAdmin_CloseConnection_ClientReconnects(t *testing.T) {
	eachEngine(t, testAdminCloseConnectionClientReconnects)
}

func testAdminCloseConnectionClientReconnects(t *testing.T) {
	r := newHarness(t, withAdmin)
	l, other := r.listen("/events?user=1", ""), r.listen("/events?user=2", "")
	l.want("tidemark.open")
	other.want("tidemark.open")
	var list admin.ConnectionList
	r.operate(&list, "GET", "/admin/connections?user=1", "")
	path := fmt.Sprintf("/admin/connections/%d/close", list.Connections[0].ID)
	if status := r.operate(nil, "POST", path, ""); status != http.StatusNoContent {
		t.Fatalf("close: %d", status)
	}
	if ev := l.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "admin" {
		t.Errorf("%s %s", ev.Type, ev.Data)
	}
	r.eventually("the connection ends", func() bool { return r.operate(nil, "POST", path, "") == http.StatusNotFound })
	if status := r.operate(nil, "POST", "/admin/connections/x/close", ""); status != http.StatusBadRequest {
		t.Errorf("no number: %d", status)
	}
	r.eventuallyScrape(map[string]float64{`disconnects_total{feed="notifications",reason="admin"}`: 1})
	r.post("/publish", `{"subject":"notifications.user.2","data":"still here"}`)
	other.want("still here")
}

// TestAdmin_Drain_ClosesConnectionsAndCanBeCancelled drains a node, cancels the drain, and stops nodes in either
// state.
func TestAdmin_Drain_ClosesConnectionsAndCanBeCancelled(t *testing.T) {
	eachEngine(t, testAdminDrainClosesConnectionsAndCanBeCancelled)
}

func testAdminDrainClosesConnectionsAndCanBeCancelled(t *testing.T) {
	r := newHarness(t, withAdmin)
	l := r.listen("/events", "")
	l.want("tidemark.open")
	var d admin.Drain
	if status := r.operate(&d, "POST", "/admin/drain", ""); status != http.StatusAccepted || !d.Draining || d.Since == nil || d.Stopping {
		t.Fatalf("%d, %+v", status, d)
	}
	if ev := l.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "drain" {
		t.Errorf("%s %s", ev.Type, ev.Data)
	}
	if got := r.status("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d", got)
	}
	r.listen("/events", l.last).want("tidemark.close")
	r.eventually("the end of all connections", func() bool { r.operate(&d, "GET", "/admin/drain", ""); return d.Connections == 0 && d.Draining })
	r.operate(nil, "POST", "/admin/drain", "") // a second request changes nothing

	d = admin.Drain{}
	if status := r.operate(&d, "POST", "/admin/undrain", ""); status != http.StatusOK || d.Draining || d.Since != nil {
		t.Fatalf("%d, %+v", status, d)
	}
	r.awaitReady()
	back := r.listen("/events", "")
	back.want("tidemark.open")
	r.operate(nil, "POST", "/admin/drain", "")
	r.stop()
}

// TestDrain_BeforeDelayHasPassed_ServesOpenConnections checks that load balancers see the drain before a request
// fails, and that a cancelled drain closes nothing.
func TestDrain_BeforeDelayHasPassed_ServesOpenConnections(t *testing.T) {
	eachEngine(t, testDrainBeforeDelayHasPassedServesOpenConnections)
}

func testDrainBeforeDelayHasPassedServesOpenConnections(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { withAdmin(o); o.HTTP.DrainDelay = time.Hour })
	l := r.listen("/events", "")
	l.want("tidemark.open")
	var d admin.Drain
	if status := r.operate(&d, "POST", "/admin/drain", ""); status != http.StatusAccepted || !d.Draining || d.Closing || d.DelayMS != time.Hour.Milliseconds() {
		t.Fatalf("%d, %+v", status, d)
	}
	if got := r.status("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d", got)
	}
	late := r.listen("/events", "")
	if ev := late.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "drain" {
		t.Errorf("a new connection: %s %s", ev.Type, ev.Data)
	}
	r.post("/publish", `{"subject":"notifications.broadcast","data":"still here"}`)
	l.want("still here")
	r.operate(&d, "POST", "/admin/undrain", "")
	if d.Draining {
		t.Fatalf("%+v", d)
	}
	r.listen("/events", "").want("tidemark.open")
	r.post("/publish", `{"subject":"notifications.broadcast","data":"and on"}`)
	l.want("and on")
	r.srv.SetDrainDelay(0) // else the end of the node takes an hour
}

// TestStop_WithDelay_ReportsUnavailableBeforeThePortCloses ends the context of Run, as SIGTERM does.
func TestStop_WithDelay_ReportsUnavailableBeforeThePortCloses(t *testing.T) {
	eachEngine(t, testStopWithDelayReportsUnavailableBeforeThePortCloses)
}

func testStopWithDelayReportsUnavailableBeforeThePortCloses(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { withAdmin(o); o.HTTP.DrainDelay = 5 * time.Second })
	l := r.listen("/events", "")
	l.want("tidemark.open")
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	r.eventually("/readyz reports the drain", func() bool { return r.status("/readyz") == http.StatusServiceUnavailable })
	late := r.listen("/events", "")
	if ev := late.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "drain" {
		t.Errorf("a new connection: %s %s", ev.Type, ev.Data)
	}
	r.post("/publish", `{"subject":"notifications.broadcast","data":"still here"}`)
	l.want("still here")
	if ev := l.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "drain" {
		t.Errorf("at the end: %s %s", ev.Type, ev.Data)
	}
	<-stopped
}

// TestAdmin_OtherCallers_AreRefused covers pages, rebound names, proxies and keys without the right.
func TestAdmin_OtherCallers_AreRefused(t *testing.T) {
	admin, adminLine, err := auth.NewAPIKey("ops", auth.AdminRight)
	if err != nil {
		t.Fatal(err)
	}
	other, otherLine, err := auth.NewAPIKey("other", "notifications.>", auth.PresenceRight)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(adminLine+"\n"+otherLine+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Publish.KeysFile = keys
		o.HTTP.Hosts = []string{"evil.example", "node.example"}
	})
	for name, tt := range map[string]struct {
		header []string
		want   int
	}{
		"this machine":              {nil, 200},
		"a page of another origin":  {[]string{"Origin", "https://evil.example"}, 403},
		"a page, as browsers say":   {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a name that was rebound":   {[]string{"Host", "evil.example"}, 401},
		"behind a proxy":            {[]string{"X-Forwarded-For", "192.0.2.1"}, 401},
		"elsewhere with the key":    {[]string{"Host", "node.example", "Authorization", "Bearer " + admin}, 200},
		"elsewhere, another key":    {[]string{"Host", "node.example", "Authorization", "Bearer " + other}, 403},
		"elsewhere, an unknown key": {[]string{"Host", "node.example", "X-Api-Key", "tmk_nothing"}, 401},
	} {
		if got := r.operate(nil, "POST", "/admin/undrain", "", tt.header...); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	if got := r.status("/admin/connections"); got != http.StatusNotFound {
		t.Errorf("at the main listener: %d", got)
	}
}

func TestAdmin_LogLevel_ChangesAtOnce(t *testing.T) {
	level, err := logging.ParseLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	log := &testkit.Log{}
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		if o.Logger, err = logging.New(log, level, "json"); err != nil {
			t.Fatal(err)
		}
		o.LogLevel = level
	})
	var got struct{ Level string }
	if r.operate(&got, "GET", "/admin/log/level", ""); got.Level != "info" {
		t.Errorf("%+v", got)
	}
	for body, want := range map[string]int{`{"level":"loud"}`: 400, `level=debug`: 400, `{"levels":"debug"}`: 400, `{"level":"` + strings.Repeat("x", 2000) + `"}`: 400} {
		if status := r.operate(nil, "PUT", "/admin/log/level", body); status != want {
			t.Errorf("%.30s: %d", body, status)
		}
	}
	l := r.listen("/events?user=quiet", "")
	l.want("tidemark.open")
	l.cancel()
	if status := r.operate(&got, "PUT", "/admin/log/level", `{"level":"debug"}`); status != http.StatusOK || got.Level != "debug" {
		t.Fatalf("%d, %+v", status, got)
	}
	l = r.listen("/events?user=loud", "")
	l.want("tidemark.open")
	l.cancel()
	r.eventually("debug lines, also of existing loggers", func() bool { return strings.Contains(log.String(), `"user":"loud"`) })
}
