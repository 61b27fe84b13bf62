package report

import (
	"math"
	"strconv"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// tableRows bounds the distribution's table: a histogram may have thousands of buckets.
const tableRows = 60

func distribution(l loadtest.Latency) figure {
	f := figure{ID: "distribution", Title: "Distribution of latency", Caption: "No latencies were recorded."}
	all := bins(l)
	if len(all) == 0 {
		return f
	}
	f.Caption = "How the deliveries spread over latency, which is measured from the intended send time. The scale of time is logarithmic."
	f.Table = distributionTable(all)
	return f.drawn(func(c *canvas) { drawDistribution(c, all, marks(l)) })
}

// marks are the percentiles that the distribution points at, and the maximum.
func marks(l loadtest.Latency) []percentile {
	var out []percentile
	for _, p := range percentiles(l) {
		if p.name == "50" || p.name == "99" {
			out = append(out, percentile{"p" + p.name, p.rank, p.at})
		}
	}
	return append(out, percentile{"max", 100, l.Max})
}

func drawDistribution(c *canvas, all []bin, marks []percentile) {
	n := total(all)
	bars := regular(all, c.bars)
	var top float64
	for _, b := range bars {
		top = max(top, 100*b.count/n)
	}
	p := panel{canvas: c, left: c.left, right: c.width - 14, bottom: c.height - 46}
	p.x = spanAxis("latency", all[0].lo, all[len(all)-1].hi, c.ticks)
	placed, rows := placeMarks(p, marks)
	p.top = 28 + markRow*float64(rows)
	p.y = linearAxis("share of deliveries", top, 0, func(v float64) string { return short(v) + " %" })
	p.drawY(14)
	for _, b := range bars {
		drawBar(p, b, n)
	}
	p.drawX(true)
	for _, m := range placed {
		p.line("mark", m.x, p.top-4-markRow*float64(m.row), m.x, p.bottom)
	}
	for _, m := range placed { // above the lines, which may cross them
		p.text("label", "middle", m.centre, p.top-8-markRow*float64(m.row), m.text)
	}
}

func drawBar(p panel, b bin, n float64) {
	x, right, y := p.px(b.lo), p.px(b.hi), p.py(100*b.count/n)
	if b.count == 0 {
		return
	}
	// A bar of few deliveries stays visible: the tail is what one looks for.
	height := max(p.bottom-y, 1)
	hint := span(nanos(b.lo)) + " to " + span(nanos(b.hi)) + ": " + share(b.count, n)
	p.bar("p50", x, p.bottom-height, max(right-x-1, 1), height, hint)
}

// mark is a vertical line with its label in one of the rows above the plot.
type mark struct {
	x, centre float64
	text      string
	row       int
}

const markRow = 15

// placeMarks takes as many rows as it needs to keep the labels apart.
func placeMarks(p panel, named []percentile) (placed []mark, rows int) {
	var ends []float64 // of the last label in each row
	for _, q := range named {
		s := q.name + " " + span(q.at)
		x, half := p.px(float64(q.at)), textWidth(s)/2
		centre := min(max(x, p.left+half), p.width-half)
		row := 0
		for row < len(ends) && ends[row] > centre-half {
			row++
		}
		if row == len(ends) {
			ends = append(ends, 0)
		}
		ends[row] = centre + half
		placed = append(placed, mark{x, centre, s, row})
	}
	return placed, len(ends)
}

func distributionTable(all []bin) table {
	t := table{Head: []string{"latency up to", "deliveries", "share", "share up to here"}}
	n, seen := total(all), 0.0
	for _, b := range joinedBins(all, tableRows) {
		seen += b.count
		t.Rows = append(t.Rows, []string{span(nanos(b.hi)), digits(b.count), share(b.count, n), share(seen, n)})
	}
	return t
}

func percentileCurve(l loadtest.Latency) figure {
	f := figure{ID: "percentiles", Title: "Latency by percentile", Caption: "No percentiles were recorded."}
	named := percentiles(l)
	points := curvePoints(l)
	if len(named) == 0 || len(points) == 0 {
		return f
	}
	f.Caption = "The share of deliveries that took no longer than a given time. From one power of ten to the next a tenth of the deliveries remains, so that rare delays have as much room as common ones."
	f.Table = table{Head: []string{"percentile", "latency"}}
	for _, p := range named {
		f.Table.Rows = append(f.Table.Rows, []string{"p" + p.name, span(p.at)})
	}
	f.Table.Rows = append(f.Table.Rows, []string{"max", span(l.Max)})
	return f.drawn(func(c *canvas) { drawPercentiles(c, points, named) })
}

// curvePoint is a point of the percentile curve: how many nines, and the latency there.
type curvePoint struct{ nines, at float64 }

// mostNines is where the curve ends: 99.999 %.
const mostNines = 5

func nines(share float64) float64 { return -math.Log10(max(1-share, 1e-9)) }

// curvePoints follows the buckets, which know more than the named percentiles, as far as
// there are enough deliveries to tell: a p99.9 of ten deliveries means nothing.
func curvePoints(l loadtest.Latency) []curvePoint {
	all := bins(l)
	if len(all) == 0 {
		return nil
	}
	n, seen := total(all), 0.0
	end := min(max(math.Log10(n), 1), mostNines)
	points := []curvePoint{{0, all[0].lo}}
	for _, b := range all {
		seen += b.count
		at := nines(seen / n)
		points = append(points, curvePoint{min(at, end), b.hi})
		if at >= end {
			break
		}
	}
	return points
}

func drawPercentiles(c *canvas, points []curvePoint, named []percentile) {
	p := panel{canvas: c, left: c.left, top: 28, right: c.width - 14, bottom: c.height - 46}
	last := points[len(points)-1]
	p.x = ninesAxis(last.nines)
	p.y = spanAxis("latency at most", points[0].at, last.at, 8)
	p.drawY(14)
	p.drawX(true)
	var line []point
	for _, q := range points {
		line = append(line, p.at(q.nines, q.at))
	}
	p.curve("p50", line)
	labels := labels{p: p}
	for _, q := range named {
		if x := nines(q.rank / 100); x <= last.nines {
			at := p.at(x, float64(q.at))
			p.dot("p50", at)
			labels.beside(at, "p"+q.name+" "+span(q.at))
		}
	}
}

func ninesAxis(end float64) axis {
	a := axis{title: "share of deliveries", hi: end, ticks: []tick{{0, "0 %"}, {nines(.5), "50 %"}}}
	for i := 1; float64(i) <= end; i++ {
		label := strconv.FormatFloat(100-math.Pow(10, float64(2-i)), 'f', max(i-2, 0), 64)
		a.ticks = append(a.ticks, tick{float64(i), label + " %"})
	}
	return a
}
