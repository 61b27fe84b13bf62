package report

import (
	"time"

	"github.com/tidemark/tidemark/internal/loadtest"
)

func throughput(series []loadtest.Sample, note string) figure {
	f := figure{ID: "deliveries", Title: "Deliveries and clients over time", Caption: "No samples were taken."}
	if len(series) == 0 {
		return f
	}
	f.Caption = "Deliveries a second above, connected clients below." + note
	f.Table = table{Head: []string{"time", "clients", "published/s", "delivered/s"}}
	for _, s := range series {
		f.Table.Rows = append(f.Table.Rows, []string{clock(s.At), count(s.Connected), count(s.Published), count(s.Delivered)})
	}
	return f.drawn(func(c *canvas) { drawThroughput(c, series) })
}

// drawThroughput stacks two panels over one time axis. Two scales in one panel would make
// lines cross where nothing meets.
func drawThroughput(c *canvas, series []loadtest.Sample) {
	bottom := c.height - 46
	split := bottom - 0.3*(bottom-28)
	x := clockAxis(lastAt(series), c.ticks)
	for _, half := range []struct {
		top, bottom float64
		title       string
		of          func(loadtest.Sample) int
		class       string
		last        bool
	}{
		{28, split - 26, "deliveries a second", func(s loadtest.Sample) int { return s.Delivered }, "p50", false},
		{split + 10, bottom, "clients connected", func(s loadtest.Sample) int { return s.Connected }, "clients", true},
	} {
		p := panel{canvas: c, left: c.left, top: half.top, right: c.width - 14, bottom: half.bottom, x: x}
		p.y = linearAxis(half.title, highest(series, half.of), 1, short)
		if half.last {
			p.y.ticks = ends(p.y.ticks)
		}
		p.drawY(half.top - 12)
		p.drawX(half.last)
		drawCounts(p, series, half.of, half.class)
	}
}

// ends leaves the first and the last tick, for a panel that is low.
func ends(all []tick) []tick { return []tick{all[0], all[len(all)-1]} }

func drawCounts(p panel, series []loadtest.Sample, of func(loadtest.Sample) int, class string) {
	var line []point
	for _, s := range series {
		line = append(line, p.at(s.At.Seconds(), float64(of(s))))
	}
	p.area(class, line, p.bottom)
	p.curve(class, line)
}

func highest(series []loadtest.Sample, of func(loadtest.Sample) int) float64 {
	top := 0
	for _, s := range series {
		top = max(top, of(s))
	}
	return float64(top)
}

func lastAt(series []loadtest.Sample) time.Duration {
	var last time.Duration
	for _, s := range series {
		last = max(last, s.At)
	}
	return last
}

// quantile is one line of the plot of latency over time.
type quantile struct {
	name, class string
	of          func(loadtest.Sample) time.Duration
}

func quantiles() []quantile {
	return []quantile{
		{"max", "max", func(s loadtest.Sample) time.Duration { return s.Max }},
		{"p99", "p99", func(s loadtest.Sample) time.Duration { return s.P99 }},
		{"p50", "p50", func(s loadtest.Sample) time.Duration { return s.P50 }},
	}
}

func latencyOverTime(series []loadtest.Sample, note string) figure {
	f := figure{ID: "latency", Title: "Latency over time", Caption: "No latencies were sampled."}
	lo, hi := latencyRange(series)
	if hi == 0 {
		return f
	}
	f.Caption = "Median, 99th percentile and maximum of each second, on a logarithmic scale. A line is broken where nothing arrived." + note
	f.Table = table{Head: []string{"time", "p50", "p99", "max"}}
	for _, s := range series {
		f.Table.Rows = append(f.Table.Rows, []string{clock(s.At), span(s.P50), span(s.P99), span(s.Max)})
	}
	return f.drawn(func(c *canvas) { drawLatency(c, series, lo, hi) })
}

// latencyRange is from the lowest to the highest latency of all lines; zeros if there is none.
func latencyRange(series []loadtest.Sample) (lo, hi float64) {
	for _, s := range series {
		for _, q := range quantiles() {
			v := float64(q.of(s))
			if v > 0 && (lo == 0 || v < lo) {
				lo = v
			}
			hi = max(hi, v)
		}
	}
	return lo, hi
}

func drawLatency(c *canvas, series []loadtest.Sample, lo, hi float64) {
	// The lines' names stand at their right ends: no legend to look up.
	p := panel{canvas: c, left: c.left, top: 28, right: c.width - 36, bottom: c.height - 46}
	p.x, p.y = clockAxis(lastAt(series), c.ticks), spanAxis("latency", lo, hi, 8)
	p.drawY(14)
	p.drawX(true)
	below := p.top - 14
	for _, q := range quantiles() {
		parts := unbroken(p, series, q.of)
		for _, line := range parts {
			p.curve(q.class, line)
		}
		if len(parts) > 0 {
			last := parts[len(parts)-1]
			below = max(last[len(last)-1].y, below+14)
			p.text("label "+q.class, "start", p.right+6, below+4, q.name)
		}
	}
}

// unbroken splits a line where a second has no latency.
func unbroken(p panel, series []loadtest.Sample, of func(loadtest.Sample) time.Duration) [][]point {
	var parts [][]point
	joins := false
	for _, s := range series {
		v := of(s)
		if v <= 0 {
			joins = false
			continue
		}
		if !joins {
			parts = append(parts, nil)
		}
		joins = true
		last := &parts[len(parts)-1]
		*last = append(*last, p.at(s.At.Seconds(), float64(v)))
	}
	return parts
}
