package report

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// runs returns results of every kind, also with extreme values, for the tests of all formats.
func runs() map[string]loadtest.Result {
	return map[string]loadtest.Result{
		"load":  loadRun(),
		"storm": stormRun(),
		"burst": burstRun(),
		"soak":  soakRun(),
		"empty": {},
		"one":   oneSampleRun(),
		"huge":  hugeRun(),
		"zeros": {Scenario: "load", Latency: loadtest.Latency{Count: 3, At: map[string]time.Duration{"50": 0}, Buckets: []loadtest.Bucket{{UpTo: 0, Count: 3}}}, Series: make([]loadtest.Sample, 5)},
	}
}

func loadRun() loadtest.Result {
	r := loadtest.Result{
		Scenario: "load", URL: "http://127.0.0.1:8080/events?user={user}", Publish: "http://127.0.0.1:8080/publish/{user}",
		Pattern: loadtest.Broadcast, Conns: 10_000, Rate: 100, Payload: 256,
		Started: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), Took: time.Minute,
		Connect:   loadtest.Connects{Opened: 10_000, Took: 1234 * time.Millisecond, PerSecond: 8103.7},
		Published: 6000, WireBytes: 21_540_000_000,
		Verdict: loadtest.Verdict{Expected: 60_000_000, Delivered: 60_000_000},
		Servers: []loadtest.Usage{{PID: 4242, Name: "tidemark", CPU: 48 * time.Second, CPUPerDelivery: 800 * time.Nanosecond, RSSBefore: 38 << 20, RSSIdle: 131 << 20, RSSAfter: 162 << 20, PerConn: 9751}},
		Self:    loadtest.Usage{PID: 4300, Name: "tidemark", CPU: 36 * time.Second, CPUPerDelivery: 600 * time.Nanosecond, RSSBefore: 22 << 20, RSSIdle: 41 << 20, RSSAfter: 44 << 20, PerConn: 1992},
	}
	r.Latency = logNormal(60_000_000, 3*time.Millisecond, 0.5)
	r.Series = steady(60, 10_000, 1_000_000)
	return r
}

func burstRun() loadtest.Result {
	r := loadRun()
	r.Conns, r.Connect.Opened, r.Rate, r.Burst, r.Published = 5000, 5000, 200, 200, 200
	r.Verdict = loadtest.Verdict{Expected: 1_000_000, Delivered: 1_000_000}
	r.Delivery = loadtest.Delivery{Since: loadtest.BurstDue, Took: 800 * time.Millisecond, PerSecond: 1_250_000}
	return r
}

func stormRun() loadtest.Result {
	r := loadRun()
	r.Scenario, r.CaughtUp, r.Connect.Reconnects = "storm", 4321*time.Millisecond, 10_000
	r.Verdict.Gaps = 1
	r.Series = steady(30, 10_000, 100_000)
	for i := 10; i < 14; i++ {
		s := &r.Series[i]
		s.Connected, s.Delivered, s.P50, s.P99, s.Max = (i-10)*2500, (i-10)*300_000, time.Second, 3*time.Second, 4321*time.Millisecond
	}
	r.Series[10] = loadtest.Sample{At: 11 * time.Second}
	return r
}

func soakRun() loadtest.Result {
	r := loadRun()
	r.Scenario, r.Pattern, r.Took = "soak", loadtest.PerUser, time.Hour
	r.Kills = 359
	r.Verdict = loadtest.Verdict{Expected: 3_600_000, Delivered: 3_596_400, Lost: 3601, Repeated: 1, Reordered: 12, Gaps: 4, First: []string{
		`client 17 (user u17): event 1001 is short, 1000 was followed by 1002 <script>alert("x")</script>`,
		"client 18: event 2000 came twice \x1b[31m",
	}}
	r.Connect.Failed, r.Connect.Error, r.Connect.Opened = 3, "dial tcp: connection refused & <b>gone</b>", 9_997
	r.URL = "https://alice:hunter2@push.example.org/<events>?access_token=s3cret&user={user}"
	r.Series = steady(3600, 10_000, 1000)
	r.Gauges = []loadtest.Gauge{
		gauge("process_resident_memory_bytes", 800, 40<<20, 70<<20), gauge("go_goroutines", 30, 60, 64), gauge("tidemark_consumers", 800, 1, 9),
		{Name: "odd<b>&\x1b[31m_bytes", Points: []loadtest.GaugePoint{{Value: -1}, {At: 1, Value: math.MaxFloat64}, {At: math.MaxInt64, Value: 3}}},
		{Name: "never"},
	}
	return r
}

func oneSampleRun() loadtest.Result {
	r := loadRun()
	r.Series = r.Series[:1]
	r.Latency = loadtest.Latency{Count: 1, Mean: 1500 * time.Microsecond, Max: 1500 * time.Microsecond, At: map[string]time.Duration{"50": 1500 * time.Microsecond, "99": 1500 * time.Microsecond}, Buckets: []loadtest.Bucket{{UpTo: 2 * time.Millisecond, Count: 1}}}
	return r
}

func hugeRun() loadtest.Result {
	const most = math.MaxInt64
	u := loadtest.Usage{PID: most, Name: "a process with a name that is far too long for any table", CPU: most, CPUPerDelivery: most, RSSBefore: most, RSSIdle: most, RSSAfter: math.MinInt64, PerConn: most}
	return loadtest.Result{
		Scenario: "load", URL: "http://h/" + string(make([]byte, 9)) + "averyveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongpath", Conns: most, Rate: math.Inf(1), Payload: most, Took: most,
		Connect: loadtest.Connects{Opened: most, PerSecond: math.NaN(), Took: math.MinInt64}, Published: most, WireBytes: most,
		Verdict: loadtest.Verdict{Expected: most, Delivered: most, Foreign: most},
		Latency: loadtest.Latency{Count: most, Mean: most, Max: most, At: map[string]time.Duration{"50": 1, "99.999": most, "odd": 1},
			Buckets: []loadtest.Bucket{{UpTo: 1, Count: most}, {UpTo: time.Second, Count: most}, {UpTo: most, Count: most}}},
		Servers: []loadtest.Usage{u, u}, Self: u,
		Series: []loadtest.Sample{{Connected: most, Delivered: most, P50: 1, P99: most, Max: most}, {At: most, Connected: 1, Delivered: most, P50: math.MinInt64, P99: -1, Max: most}},
	}
}

// logNormal has buckets of about 5 %, and a second hump as of a garbage collection.
func logNormal(n int64, median time.Duration, sigma float64) loadtest.Latency {
	l := loadtest.Latency{Count: n, Mean: median * 11 / 10, At: map[string]time.Duration{}}
	cdf := func(d float64) float64 {
		one := func(m float64) float64 { return 0.5 * math.Erfc(-math.Log(d/m)/(sigma*math.Sqrt2)) }
		return 0.985*one(float64(median)) + 0.015*one(12*float64(median))
	}
	names, seen := []string{"50", "90", "99", "99.9"}, 0.0
	ranks := []float64{.5, .9, .99, .999}
	for d := 100e3; d < 1e9; d *= 1.05 {
		c := cdf(d)
		if k := int64(float64(n) * (c - seen)); k > 0 {
			l.Buckets = append(l.Buckets, loadtest.Bucket{UpTo: time.Duration(d), Count: k})
			l.Max = time.Duration(d)
		}
		seen = c
		for len(ranks) > 0 && c >= ranks[0] {
			l.At[names[0]] = time.Duration(d)
			names, ranks = names[1:], ranks[1:]
		}
	}
	return l
}

// gauge rises from lo to hi, and is lo again at the end. Its server was down for a tenth of the
// time.
func gauge(name string, n int, lo, hi float64) loadtest.Gauge {
	g := loadtest.Gauge{Name: name}
	for i := range n {
		v := lo + (hi-lo)*math.Sin(math.Pi*float64(i)/float64(n-1))
		if at := time.Duration(i) * time.Hour / time.Duration(n); i < n/2 || i > n*6/10 {
			g.Points = append(g.Points, loadtest.GaugePoint{At: at, Value: math.Round(v)})
		}
	}
	return g
}

func steady(n, conns, delivered int) []loadtest.Sample {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := make([]loadtest.Sample, n)
	for i := range all {
		wobble := 0.9 + 0.2*rnd.Float64()
		all[i] = loadtest.Sample{
			At: time.Duration(i+1) * time.Second, Connected: conns - rnd.IntN(conns/50+1), Published: 100,
			Delivered: int(float64(delivered) * wobble), P50: time.Duration(3e6 * wobble),
			P99: time.Duration(3e7 * wobble * wobble), Max: time.Duration(6e7 * (1 + 3*rnd.Float64()*rnd.Float64())),
		}
	}
	return all
}
