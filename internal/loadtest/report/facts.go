package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// section is one block of the summary. Text and HTML show the same sections, so that they agree.
type section struct {
	Title string
	Rows  []row
}

type row struct {
	Label, Value, Note string
	Bad                bool // a value that fails the run, or makes it doubtful
}

// sections returns the result without the verdict's line, the violations and the series.
func sections(r loadtest.Result) []section {
	all := []section{
		{"Connections", connectRows(r)},
		{"Events", eventRows(r)},
		{"Verdict", verdictRows(r.Verdict)},
		{"Latency", latencyRows(r.Latency)},
	}
	for _, u := range r.Servers {
		all = append(all, section{"Server: " + processName(u), usageRows(u)})
	}
	if len(r.Gauges) > 0 {
		all = append(all, section{"Server's metrics", gaugeRows(r.Gauges)})
	}
	return append(all, section{tools(r), usageRows(r.Self)}, section{"Run", runRows(r)})
}

// tools returns the title of the load generator's usage, with the number of its processes.
func tools(r loadtest.Result) string {
	if r.Workers > 1 {
		return "This tool and its " + count(r.Workers) + " workers"
	}
	return "This tool"
}

func connectRows(r loadtest.Result) []row {
	c := r.Connect
	rows := []row{
		{Label: "opened", Value: count(c.Opened), Note: "of " + count(r.Conns), Bad: c.Opened < r.Conns},
		{Label: "time to open", Value: duration(c.Took), Note: rate(c.PerSecond)},
		{Label: "failed", Value: count(c.Failed), Note: plain(c.Error), Bad: c.Failed > 0},
		{Label: "reconnects", Value: count(c.Reconnects)},
	}
	if c.FullHandshakes+c.ResumedHandshakes > 0 {
		rows = append(rows, row{Label: "TLS handshakes", Value: count(c.FullHandshakes + c.ResumedHandshakes), Note: count(c.ResumedHandshakes) + " resumed a session"})
	}
	if r.Kills > 0 {
		rows = append(rows, row{Label: "kills of the server", Value: count(r.Kills)})
	}
	if r.CaughtUp > 0 {
		rows = append(rows, row{Label: "until all caught up", Value: duration(r.CaughtUp), Note: "from the reconnects to the last client's last event"})
	}
	return rows
}

func eventRows(r loadtest.Result) []row {
	delivered, took, since := deliveries(r)
	if since != "" {
		since = " in " + duration(took) + ", " + since
	}
	rows := []row{
		{Label: "published", Value: count(r.Published), Note: rate(per(r.Published, r.Took)) + inBursts(r)},
		{Label: "delivered", Value: count(r.Verdict.Delivered), Note: delivered + since},
		{Label: "on the wire", Value: size(r.WireBytes)},
	}
	if n := int64(r.Verdict.Delivered); n > 0 {
		rows[2].Note = size(r.WireBytes/n) + " a delivery"
	}
	return rows
}

// deliveries returns the rate of deliveries and the time that it covers. For bursts that time is
// without the time before the first one, and since names its start.
func deliveries(r loadtest.Result) (perSecond string, took time.Duration, since string) {
	switch d := r.Delivery; {
	case d.Took <= 0:
		return rate(per(r.Verdict.Delivered, r.Took)), r.Took, ""
	case d.Since == loadtest.BurstDue:
		return rate(d.PerSecond), d.Took, "from when the burst was due to the last receipt"
	default:
		return rate(d.PerSecond), d.Took, "from the first receipt to the last"
	}
}

func inBursts(r loadtest.Result) string {
	if r.Burst <= 1 {
		return ""
	}
	return " in bursts of " + count(r.Burst)
}

func verdictRows(v loadtest.Verdict) []row {
	return []row{
		{Label: "deliveries due", Value: count(v.Expected)},
		{Label: "short", Value: count(v.Lost), Note: "due, never received, in no announced gap", Bad: v.Lost > 0},
		{Label: "repeated", Value: count(v.Repeated), Note: "received more than once", Bad: v.Repeated > 0},
		{Label: "reordered", Value: count(v.Reordered), Note: "received after a later one", Bad: v.Reordered > 0},
		{Label: "foreign", Value: count(v.Foreign), Note: "meant for another user", Bad: v.Foreign > 0},
		{Label: "gaps", Value: count(v.Gaps), Note: "announced by the server"},
	}
}

func latencyRows(l loadtest.Latency) []row {
	if l.Count == 0 {
		return []row{{Label: "measured", Value: "0", Note: "no event arrived"}}
	}
	var rows []row
	for _, p := range percentiles(l) {
		rows = append(rows, row{Label: "p" + p.name, Value: duration(p.at)})
	}
	return append(rows,
		row{Label: "max", Value: duration(l.Max)},
		row{Label: "mean", Value: duration(l.Mean)},
		row{Label: "measured", Value: count(l.Count), Note: "from the intended send time"})
}

func usageRows(u loadtest.Usage) []row {
	rows := []row{
		{Label: "CPU", Value: duration(u.CPU), Note: perDelivery(u.CPUPerDelivery)},
		{Label: "CPU of the connects", Value: duration(u.ConnectCPU), Note: duration(u.CPUPerConnect) + " a connect"},
		{Label: "memory a connection", Value: size(u.PerConn)},
		{Label: "memory", Value: size(u.RSSIdle), Note: "with connections, idle; " + size(u.RSSBefore) + " before, " + size(u.RSSAfter) + " at the end"},
	}
	if u.ReconnectCPU > 0 {
		rows = append(rows, row{Label: "CPU of the reconnects", Value: duration(u.ReconnectCPU), Note: duration(u.CPUPerReconnect) + " a reconnect, until all caught up"})
	}
	return rows
}

func perDelivery(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return duration(d) + " a delivery"
}

func processName(u loadtest.Usage) string {
	return fmt.Sprintf("%s (pid %d)", cmp.Or(plain(u.Name), "process"), u.PID)
}

func runRows(r loadtest.Result) []row {
	started := none
	if !r.Started.IsZero() {
		started = r.Started.Format("2006-01-02 15:04:05 -07:00")
	}
	return []row{
		{Label: "scenario", Value: cmp.Or(plain(r.Scenario), none)},
		{Label: "URL", Value: cmp.Or(plain(r.URL), none)},
		{Label: "published to", Value: cmp.Or(plain(r.Publish), none)},
		{Label: "pattern", Value: cmp.Or(plain(string(r.Pattern)), none)},
		{Label: "form", Value: cmp.Or(plain(string(r.Form)), none)},
		{Label: "connections", Value: count(r.Conns)},
		{Label: "publish rate", Value: rate(r.Rate), Note: "asked for" + inBursts(r)},
		{Label: "payload", Value: size(int64(r.Payload)), Note: "an event"},
		{Label: "started", Value: started},
		{Label: "took", Value: duration(r.Took)},
	}
}

// percentile is a named point of a distribution.
type percentile struct {
	name string
	rank float64 // 0 to 100
	at   time.Duration
}

// percentiles returns the percentiles of l by rank, without names that are not numbers from 0 to 100.
func percentiles(l loadtest.Latency) []percentile {
	var all []percentile
	for name, at := range maps.All(l.At) {
		if rank, err := strconv.ParseFloat(name, 64); err == nil && rank >= 0 && rank <= 100 {
			all = append(all, percentile{name, rank, at})
		}
	}
	slices.SortFunc(all, func(a, b percentile) int { return cmp.Compare(a.rank, b.rank) })
	return all
}
