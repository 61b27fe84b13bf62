package report

import (
	"strings"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// gaugeRows show each metric before the first client, at its highest, and after the last client.
func gaugeRows(all []loadtest.Gauge) (rows []row) {
	for _, g := range all {
		r := row{Label: plain(g.Name), Value: none, Note: "never seen"}
		if n := len(g.Points); n > 0 {
			write := gaugeUnit(g)
			r.Value = write(g.Points[n-1].Value)
			r.Note = "at the end; " + write(g.Points[0].Value) + " before, " + write(highest(g.Points).Value) + " at most"
		}
		rows = append(rows, r)
	}
	return rows
}

// gaugeFigure plots a metric alone: no two of them have a scale in common.
func gaugeFigure(id string, g loadtest.Gauge) figure {
	f := figure{ID: id, Title: plain(g.Name), Caption: "The metric was never seen."}
	if len(g.Points) == 0 {
		return f
	}
	points, write := foldGauge(g.Points), gaugeUnit(g)
	first, last := points[0], points[len(points)-1]
	f.Caption = "As the server reports it: " + write(first.Value) + " before the first client, " + write(last.Value) + " at the end."
	f.Table.Head = []string{"time", "value"}
	title, scale := "", 1.0
	if isBytes(g) {
		title, scale = "MiB", 1<<20
	}
	p := newPlot("time since the start", title)
	unit := runTime(p, last.At)
	usual := last.At / time.Duration(max(len(points)-1, 1))
	var line plotter.XYs // ends where the server did not answer for longer than three intervals
	for i, v := range points {
		f.Table.add(clock(v.At), write(v.Value))
		if i > 0 && v.At-points[i-1].At > 3*usual {
			addLine(p, line, violet, violetArea)
			line = nil
		}
		line = append(line, plotter.XY{X: v.At.Seconds() / unit.Seconds(), Y: max(v.Value/scale, 0)})
	}
	addLine(p, line, violet, violetArea)
	linearFromZero(&p.Y, highest(points).Value/scale, short)
	return f.drawn(p)
}

// foldGauge keeps the highest of neighbouring points until at most maxPoints are left, and the
// first and the last of all.
func foldGauge(points []loadtest.GaugePoint) (folded []loadtest.GaugePoint) {
	each := (len(points) + maxPoints - 1) / maxPoints
	if each <= 1 {
		return points
	}
	for rest := points; len(rest) > 0; {
		n := min(each, len(rest))
		folded, rest = append(folded, highest(rest[:n])), rest[n:]
	}
	folded[0], folded[len(folded)-1] = points[0], points[len(points)-1]
	return folded
}

func highest(points []loadtest.GaugePoint) loadtest.GaugePoint {
	top := points[0]
	for _, p := range points {
		if p.Value > top.Value {
			top = p
		}
	}
	return top
}

func isBytes(g loadtest.Gauge) bool { return strings.HasSuffix(g.Name, "_bytes") }

func gaugeUnit(g loadtest.Gauge) func(float64) string {
	if isBytes(g) {
		return func(v float64) string { return size(int64(v)) }
	}
	return func(v float64) string { return trimZeros(digits(v)) }
}
