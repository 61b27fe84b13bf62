package report

import (
	"math"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// gaugeRows tell what each metric was before the clients came, at most, and after they had left.
func gaugeRows(all []loadtest.Gauge) (rows []row) {
	for _, g := range all {
		r := row{Label: gaugeName(g), Value: none, Note: "never seen"}
		if n := len(g.Points); n > 0 {
			write := gaugeUnit(g)
			r.Value = write(g.Points[n-1].Value)
			r.Note = "at the end; " + write(g.Points[0].Value) + " before, " + write(highestGauge(g)) + " at most"
		}
		rows = append(rows, r)
	}
	return rows
}

// gaugeFigures is a plot for each metric: no two of them have a scale in common.
func gaugeFigures(all []loadtest.Gauge) (figures []figure) {
	for i, g := range all {
		g.Points = foldGauge(g.Points)
		f := figure{ID: "gauge-" + count(i+1), Title: gaugeName(g), Caption: "The metric was never seen."}
		if len(g.Points) > 0 {
			f = drawnGauge(f, g)
		}
		figures = append(figures, f)
	}
	return figures
}

func drawnGauge(f figure, g loadtest.Gauge) figure {
	write := gaugeUnit(g)
	f.Caption = "As the server tells it: " + write(g.Points[0].Value) + " before the first client, " + write(g.Points[len(g.Points)-1].Value) + " at the end."
	f.Table = table{Head: []string{"time", "value"}}
	for _, p := range g.Points {
		f.Table.Rows = append(f.Table.Rows, []string{clock(p.At), write(p.Value)})
	}
	return f.drawn(func(c *canvas) {
		p := panel{canvas: c, left: c.left, top: 28, right: c.width - 14, bottom: c.height - 46}
		p.x, p.y = clockAxis(g.Points[len(g.Points)-1].At, c.ticks), gaugeAxis(g)
		p.drawY(14)
		p.drawX(true)
		for _, line := range gaugeLines(p, g.Points) {
			p.area("clients", line, p.bottom)
			p.curve("clients", line)
		}
	})
}

// gaugeLines are broken where the server did not answer for longer than three looks took on
// the whole.
func gaugeLines(p panel, points []loadtest.GaugePoint) (lines [][]point) {
	usual := points[len(points)-1].At / time.Duration(max(len(points)-1, 1))
	for i, v := range points {
		if i == 0 || v.At-points[i-1].At > 3*usual {
			lines = append(lines, nil)
		}
		last := &lines[len(lines)-1]
		*last = append(*last, p.at(v.At.Seconds(), max(v.Value, 0)))
	}
	return lines
}

// gaugeAxis has memory in MiB: its ticks would be no round figures otherwise.
func gaugeAxis(g loadtest.Gauge) axis {
	if !isBytes(g) {
		return linearAxis("", max(highestGauge(g), 0), 1, short)
	}
	const mib = 1 << 20
	a := linearAxis("MiB", max(highestGauge(g), 0)/mib, 1, short)
	a.hi *= mib
	for i := range a.ticks {
		a.ticks[i].at *= mib
	}
	return a
}

// foldGauge joins neighbouring points until at most foldTo are left, and keeps the highest of
// each, and the first and the last of all.
func foldGauge(points []loadtest.GaugePoint) (folded []loadtest.GaugePoint) {
	each := (len(points) + foldTo - 1) / foldTo
	if each <= 1 {
		return points
	}
	for rest := points; len(rest) > 0; {
		n := min(each, len(rest))
		top := rest[0]
		for _, p := range rest[:n] {
			if p.Value > top.Value {
				top = p
			}
		}
		folded, rest = append(folded, top), rest[n:]
	}
	folded[0], folded[len(folded)-1] = points[0], points[len(points)-1]
	return folded
}

func highestGauge(g loadtest.Gauge) float64 {
	top := math.Inf(-1)
	for _, p := range g.Points {
		top = max(top, p.Value)
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

func gaugeName(g loadtest.Gauge) string { return plain(g.Name) }
