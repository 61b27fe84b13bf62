package loadtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// scraped counts the answers with metrics; while down is set there are none.
type scraped struct {
	down   atomic.Bool
	served atomic.Int32
}

// serveMetrics serves the number of connections of d in two series.
func serveMetrics(t *testing.T, d *fakeServer, by *scraped) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if by.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		by.served.Add(1)
		d.mu.Lock()
		open := d.open
		d.mu.Unlock()
		_, _ = fmt.Fprintf(w, "# TYPE subs gauge\nsubs{half=\"1\"} %d\nsubs{half=\"2\"} %d\n# TYPE took summary\ntook_sum 1\ntook_count 1\n# TYPE odd gauge\nodd NaN\n", open/2, open-open/2)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestMetrics_Gauge_IsReadDuringTheRun(t *testing.T) {
	t.Parallel()
	d := newFakeServer(t, faults{})
	o := d.options(20)
	o.For, o.Rate = time.Second, 100
	o.Metrics = Metrics{URL: serveMetrics(t, d, new(scraped)), Names: []string{"subs"}, Every: 10 * time.Millisecond}
	r, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Gauges) != 1 || r.Gauges[0].Name != "subs" {
		t.Fatalf("%+v", r.Gauges)
	}
	points := r.Gauges[0].Points
	most := slices.MaxFunc(points, func(a, b GaugePoint) int { return int(a.Value - b.Value) })
	if points[0].Value != 0 || most.Value != 20 {
		t.Errorf("%v before the first client and %v at most; want 0 and 20", points[0].Value, most.Value)
	}
	if !slices.IsSortedFunc(points, func(a, b GaugePoint) int { return int(a.At - b.At) }) {
		t.Errorf("not in the order of time: %v", points)
	}
}

func TestMetrics_AfterTheRun_AreStillRead(t *testing.T) {
	t.Parallel()
	d := newFakeServer(t, faults{})
	o := d.options(5)
	o.For, o.Rate = 100*time.Millisecond, 100
	by := new(scraped)
	o.Metrics = Metrics{URL: serveMetrics(t, d, by), Names: []string{"subs"}, Every: time.Millisecond, After: 2 * time.Second}
	r, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	points := r.Gauges[0].Points
	if last := points[len(points)-1]; last.Value != 0 || last.At < o.Metrics.After {
		t.Errorf("%v clients %v after the start", last.Value, last.At)
	}
	by.served.Store(0)
	o.Progress = func(string, Sample) { by.down.Store(true) } // from here on there are no metrics
	if r, err = Load(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got, told := len(r.Gauges[0].Points), int(by.served.Load()); got != told {
		t.Errorf("%d points of a metric that was served %d times", got, told)
	}
}

func TestMetrics_InvalidNameOrURL_FailsBeforeTheRun(t *testing.T) {
	t.Parallel()
	d := newFakeServer(t, faults{})
	url := serveMetrics(t, d, new(scraped))
	for name, c := range map[string]struct {
		m    Metrics
		want string
	}{
		"an unknown name":   {Metrics{URL: url, Names: []string{"subs", "absent"}}, "--metric: absent is not among"},
		"a summary":         {Metrics{URL: url, Names: []string{"took"}}, "--metric: took is not among"},
		"no number":         {Metrics{URL: url, Names: []string{"odd"}}, "--metric: odd is not among"},
		"another page":      {Metrics{URL: d.URL + "/sub", Names: []string{"subs"}}, "404"},
		"not a URL":         {Metrics{URL: "no url", Names: []string{"subs"}}, "--metrics: "},
		"no listener":       {Metrics{URL: "http://127.0.0.1:1/metrics", Names: []string{"subs"}}, "--metrics: "},
		"no text of theirs": {Metrics{URL: htmlPage(t), Names: []string{"subs"}}, "is not in Prometheus's text format"},
	} {
		o := d.options(1)
		o.Metrics = c.m
		if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func htmlPage(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<!DOCTYPE html>\n<p>hello</p>\n"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}
