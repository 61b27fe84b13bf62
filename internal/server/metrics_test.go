package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tidemark/tidemark/internal/server"
)

// withAdmin gives a node an admin listener, and a second feed that always reads the stream.
func withAdmin(o *server.Options) {
	o.Admin.Addr = "127.0.0.1:0"
	o.Node.Version = "1.2.3"
	archive := o.Feeds[0]
	archive.Name, archive.Paths, archive.ReplayFromStore = "archive", []string{"/archive"}, true
	o.Feeds = append(o.Feeds, archive)
}

func (r *harness) admin(path string) string { return "http://" + r.srv.AdminAddr().String() + path }

// scrape is the answer of /metrics in the text format.
type scrape struct {
	t        *testing.T
	families map[string]*dto.MetricFamily
	raw      string
}

func (r *harness) scrape(url string) scrape {
	r.t.Helper()
	_, raw := get(r.t, url, "")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(raw))
	if err != nil {
		r.t.Fatalf("%v in\n%s", err, raw)
	}
	return scrape{r.t, families, string(raw)}
}

func get(t *testing.T, url, accept string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, raw
}

// value returns the value of `name{label="value",…}`, with the labels in the order of their names; of a histogram
// it returns the count. It returns -1 if the series does not exist.
func (s scrape) value(series string) float64 {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	for _, m := range s.families["tidemark_"+name].GetMetric() {
		var pairs []string
		for _, l := range m.GetLabel() {
			pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
		if strings.Join(pairs, ",") == labels {
			if h := m.GetHistogram(); h != nil {
				return float64(h.GetSampleCount())
			}
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return -1
}

// eventuallyScrape waits for counts that rise shortly after the client has the response.
func (r *harness) eventuallyScrape(want map[string]float64) scrape {
	r.t.Helper()
	var s scrape
	wrong := func() (list []string) {
		for series, value := range want {
			if got := s.value(series); got != value {
				list = append(list, fmt.Sprintf("%s is %g, want %g", series, got, value))
			}
		}
		return list
	}
	for range 400 { // as in eventually
		if s = r.scrape(r.admin("/metrics")); len(wrong()) == 0 {
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.t.Fatalf("%s in\n%s", strings.Join(wrong(), "\n"), s.raw)
	return s
}

// TestMetrics_AfterTraffic_HaveItsCounts compares the metrics with the traffic of the test.
func TestMetrics_AfterTraffic_HaveItsCounts(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Limits.PerUser, o.Limits.Connections = 6, 1000
	})
	var there []*listener
	for range 5 {
		l := r.listen(me, "")
		l.want("tidemark.open")
		there = append(there, l)
	}
	r.publish("notifications.user.42", 1, 10)
	for _, l := range there {
		l.wantNumbers(1, 10)
	}
	r.eventuallyScrape(map[string]float64{
		`connections{feed="notifications",form="sse",state="live"}`:      5,
		`connections{feed="notifications",form="sse",state="replaying"}`: 0,
		`connections{feed="notifications",form="sse",state="slow"}`:      0,
		`connections{feed="archive",form="sse",state="live"}`:            0,
		`connections_limit`:                                                     1000,
		`connects_total{feed="notifications"}`:                                  5,
		`delivered_events_total{feed="notifications",kind="live"}`:              50,
		`delivered_events_total{feed="notifications",kind="missed"}`:            0,
		`delivery_delay_seconds{feed="notifications"}`:                          50,
		`window_events{stream="NOTIFICATIONS"}`:                                 10,
		`tail_up{stream="NOTIFICATIONS"}`:                                       1,
		`tail_sequence{stream="NOTIFICATIONS"}`:                                 10,
		`stream_last_sequence{stream="NOTIFICATIONS"}`:                          10,
		`tail_lag_events{stream="NOTIFICATIONS"}`:                               0,
		`consumers{stream="NOTIFICATIONS"}`:                                     1,
		`nats_connected{connection="main"}`:                                     1,
		`nats_connected{connection="tail"}`:                                     1,
		`nats_connected{connection="replay"}`:                                   1,
		`replay_bytes`:                                                          0,
		`replay_bytes_limit`:                                                    32 << 20,
		`replay_bytes_waiting`:                                                  0,
		`replay_suspensions_total`:                                              0,
		`draining`:                                                              0,
		`rejections_total{reason="connections_per_user"}`:                       0,
		`published_events_total{result="stored"}`:                               0,
		`window_resumes_total{from="window",stream="NOTIFICATIONS"}`:            0,
		`consumer_create_failures_total{reason="limit",stream="NOTIFICATIONS"}`: 0,
	})

	// A client disconnects, a client exceeds the limit, and a client reconnects.
	there[0].cancel()
	r.eventuallyScrape(map[string]float64{
		`disconnects_total{feed="notifications",reason="gone"}`:     1,
		`connections{feed="notifications",form="sse",state="live"}`: 4,
	})
	back := r.listen(me, "4")
	back.want("tidemark.open")
	back.wantNumbers(5, 10)
	r.listen(me, "").want("tidemark.open")
	r.listen(me, "").want("tidemark.close") // the seventh
	r.eventuallyScrape(map[string]float64{
		`delivered_events_total{feed="notifications",kind="missed"}`: 6,
		`window_resumes_total{from="window",stream="NOTIFICATIONS"}`: 1,
		`rejections_total{reason="connections_per_user"}`:            1,
		`connects_total{feed="notifications"}`:                       7,
	})
	back.cancel()
	r.eventuallyScrape(map[string]float64{`disconnects_total{feed="notifications",reason="gone"}`: 2})
	r.metricsOfReplaysAndGaps()
	r.metricsOfPublishing()
}

func (r *harness) metricsOfReplaysAndGaps() {
	r.t.Helper()
	all := r.listen("/archive?user=42&from=all", "")
	all.want("tidemark.open")
	all.wantNumbers(1, 10)
	r.eventuallyScrape(map[string]float64{
		`replays_total{result="completed",stream="NOTIFICATIONS"}`: 1,
		`replayed_events_total{stream="NOTIFICATIONS"}`:            10,
		`replay_duration_seconds{stream="NOTIFICATIONS"}`:          1,
		`replays_active{stream="NOTIFICATIONS"}`:                   0,
		`replays_waiting{stream="NOTIFICATIONS"}`:                  0,
		`consumer_creates_total{stream="NOTIFICATIONS"}`:           2,
		`consumers{stream="NOTIFICATIONS"}`:                        1,
	})
	if err := r.stream().DeleteMsg(r.t.Context(), 8); err != nil {
		r.t.Fatal(err)
	}
	if err := r.stream().Purge(r.t.Context(), jetstream.WithPurgeSequence(5)); err != nil {
		r.t.Fatal(err)
	}
	for id, reason := range map[string]string{"1": "trimmed", "5": "possible", "99": "future", "3-zzzzzz": "epoch", "what": "malformed"} {
		l := r.listen("/archive?user="+reason, id)
		l.want("tidemark.open", "tidemark.gap "+reason)
		l.cancel()
	}
	r.eventuallyScrape(map[string]float64{
		`gaps_total{feed="archive",reason="trimmed"}`:                1,
		`gaps_total{feed="archive",reason="possible"}`:               1,
		`gaps_total{feed="archive",reason="future"}`:                 1,
		`gaps_total{feed="archive",reason="epoch"}`:                  1,
		`gaps_total{feed="archive",reason="malformed"}`:              1,
		`gaps_total{feed="notifications",reason="future"}`:           0,
		`tail_resets_total{reason="trimmed",stream="NOTIFICATIONS"}`: 0,
		`disconnects_total{feed="archive",reason="gone"}`:            5,
	})
}

func (r *harness) metricsOfPublishing() {
	r.t.Helper()
	for _, id := range []string{"a", "b", "c", "c"} {
		if status, answer := r.post("/publish", fmt.Sprintf(`{"subject":"notifications.broadcast","data":"x","id":%q}`, id)); status != http.StatusOK {
			r.t.Fatal(status, answer)
		}
	}
	if status, _ := r.post("/nowhere", "{}"); status != http.StatusNotFound {
		r.t.Fatal(status)
	}
	s := r.eventuallyScrape(map[string]float64{
		`published_events_total{result="stored"}`:          3,
		`published_events_total{result="duplicate"}`:       1,
		`publish_duration_seconds`:                         4,
		`http_requests_total{code="200",route="/publish"}`: 4,
		`http_requests_total{code="404",route="other"}`:    1,
	})
	if want := `tidemark_build_info{goversion="go`; !strings.Contains(s.raw, want) || !strings.Contains(s.raw, `version="1.2.3"`) {
		r.t.Errorf("no %s in\n%s", want, s.raw)
	}
	for _, secret := range []string{"user=", "127.0.0.1", "notifications.", `"42"`} {
		if strings.Contains(s.raw, secret) {
			r.t.Errorf("the metrics contain %q:\n%s", secret, s.raw)
		}
	}
}

// TestMetrics_NodeStops_EndWithIt checks that operators can watch the drain of a node.
func TestMetrics_NodeStops_EndWithIt(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { withAdmin(o); o.SSE.DrainPeriod = 0 })
	l := r.listen(me, "")
	l.want("tidemark.open")
	url := r.admin("/metrics")
	r.stop()
	l.want("tidemark.close")
	if _, err := http.Get(url); err == nil {
		t.Error("the node has stopped, but still serves metrics")
	}
}

func TestMetrics_PrometheusLinter_Passes(t *testing.T) {
	r := newHarness(t, withAdmin)
	s := r.scrape(r.admin("/metrics"))
	problems, err := promlint.New(strings.NewReader(s.raw)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "tidemark_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, name := range []string{"go_goroutines", "go_sched_latencies_seconds", "process_open_fds", "process_resident_memory_bytes"} {
		if s.families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestMetrics_NativeHistograms_AreNegotiated checks that a protobuf scrape has native histograms in addition to
// the classic buckets.
func TestMetrics_NativeHistograms_AreNegotiated(t *testing.T) {
	r := newHarness(t, withAdmin)
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.publish("notifications.user.42", 1, 20)
	l.wantNumbers(1, 20)
	r.eventuallyScrape(map[string]float64{`delivery_delay_seconds{feed="notifications"}`: 20})
	resp, raw := get(t, r.admin("/metrics"), string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	decoder := expfmt.NewDecoder(bytes.NewReader(raw), expfmt.ResponseFormat(resp.Header))
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); err != nil {
			t.Fatalf("tidemark_delivery_delay_seconds was not found: %v", err)
		}
		if family.GetName() != "tidemark_delivery_delay_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == "notifications" {
				checkNative(t, m.GetHistogram(), 20)
				return
			}
		}
	}
}

func checkNative(t *testing.T, h *dto.Histogram, want uint64) {
	t.Helper()
	native, last := h.GetZeroCount(), int64(0)
	for _, delta := range h.GetPositiveDelta() {
		last += delta
		native += uint64(last)
	}
	classic := h.GetBucket()
	if h.GetSchema() != 3 || native != want || h.GetSampleCount() != want || len(classic) != 17 {
		t.Fatalf("%v", h)
	}
	if s := h.GetSampleSum(); s <= 0 || s > 20*60 {
		t.Errorf("the sum of the delays is %g s", s)
	}
	for i := 1; i < len(classic); i++ {
		if classic[i].GetCumulativeCount() < classic[i-1].GetCumulativeCount() {
			t.Errorf("the buckets fall: %v", classic)
		}
	}
}

// TestMetrics_OtherMachines_AreRefused checks that the main listener serves metrics to this machine alone.
func TestMetrics_OtherMachines_AreRefused(t *testing.T) {
	named := func(o *server.Options) { o.HTTP.Hosts = []string{"rebound.example", "tidemark"} }
	main := newHarness(t, named)
	admin := newHarness(t, func(o *server.Options) { withAdmin(o); named(o) })
	for _, c := range []struct {
		url, header, value string
		status             int
	}{
		{main.base + "/metrics", "", "", 200},
		{main.base + "/metrics", "X-Forwarded-For", "192.0.2.1", 403}, // through a proxy on this machine
		{main.base + "/metrics", "Host", "rebound.example", 403},
		{main.base + "/debug/pprof/", "", "", 404},
		{admin.base + "/metrics", "", "", 404},
		{admin.base + "/debug/pprof/", "", "", 404},
		{admin.admin("/metrics"), "", "", 200},
		{admin.admin("/metrics"), "Host", "tidemark", 200}, // by the name of a service
		{admin.admin("/healthz"), "", "", 200},
		{admin.admin("/readyz"), "", "", 200},
		{admin.admin("/events"), "", "", 404},
		{admin.admin("/debug/pprof/"), "", "", 200},
		{admin.admin("/debug/pprof/goroutine?debug=1"), "", "", 200},
		{admin.admin("/debug/pprof/cmdline"), "", "", 200},
		{admin.admin("/debug/pprof/"), "Host", "tidemark", 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.header == "Host" {
			req.Host = c.value
		} else if c.header != "" {
			req.Header.Set(c.header, c.value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s with %s %s: %d, want %d", c.url, c.header, c.value, resp.StatusCode, c.status)
		}
	}
}

// TestMetrics_ScrapedUnderTraffic_StayConsistent is for the race detector: it scrapes while all metrics change.
func TestMetrics_ScrapedUnderTraffic_StayConsistent(t *testing.T) {
	r := newHarness(t, withAdmin)
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					resp, err := http.Get(r.admin("/metrics"))
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		})
	}
	for i := range 10 {
		l := r.listen(me, "")
		l.want("tidemark.open")
		replay := r.listen("/archive?user=42&from=all", "")
		r.publish("notifications.user.42", i, i)
		l.want(fmt.Sprint(i))
		replay.want("tidemark.open")
		replay.wantNumbers(0, i)
		l.cancel()
		replay.cancel()
	}
	close(done)
	work.Wait()
	r.eventuallyScrape(map[string]float64{
		`connects_total{feed="notifications"}`:                  10,
		`connects_total{feed="archive"}`:                        10,
		`disconnects_total{feed="notifications",reason="gone"}`: 10,
		`disconnects_total{feed="archive",reason="gone"}`:       10,
	})
}
