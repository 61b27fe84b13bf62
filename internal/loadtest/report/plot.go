package report

import (
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// sizes are the formats of each plot. A wide plot scaled down to a phone would have letters of five pixels.
var sizes = []struct {
	class         string
	width, height vg.Length
}{{"wide", 560, 310}, {"narrow", 340, 270}}

// The colours that the library draws with are marks: the page replaces them by its variables, which
// have other values in a dark theme.
var (
	ink, soft, grid    = mark(1), mark(2), mark(3)
	blue, blueArea     = mark(4), mark(5)
	amber, red         = mark(6), mark(7)
	violet, violetArea = mark(8), mark(9)

	pageColors = strings.NewReplacer("#010000", "var(--ink)", "#020000", "var(--soft)", "#030000", "var(--grid)",
		"#040000", "var(--blue)", "#050000", "var(--blue);fill-opacity:.16", "#060000", "var(--amber)", "#070000", "var(--red)",
		"#080000", "var(--violet)", "#090000", "var(--violet);fill-opacity:.16")
)

func mark(n uint8) color.Color { return color.RGBA{n, 0, 0, 0xff} }

const fontSize = 12

// newPlot returns an empty plot in the style of the page.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Padding = 0
		a.Color = soft
		a.Tick.Length, a.Tick.Color = 5, grid
		a.Label.Padding = 4
		a.Label.TextStyle.Color, a.Tick.Label.Color = soft, soft
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans, sans
	}
	p.Y.Width = 0
	line := draw.LineStyle{Color: grid, Width: 1}
	p.Add(&plotter.Grid{Vertical: line, Horizontal: line})
	return p
}

var sans = font.Font{Typeface: "Liberation", Variant: "Sans", Size: fontSize}

// drawn returns f with the plots, one above the other, in each size.
func (f figure) drawn(plots ...*plot.Plot) figure {
	column := make([][]*plot.Plot, len(plots))
	for i, p := range plots {
		column[i] = []*plot.Plot{p}
	}
	for _, size := range sizes {
		canvas := vgsvg.New(size.width, size.height)
		// The half of a label may extend beyond the last tick.
		area := draw.Crop(draw.New(canvas), 0, -4, 0, -4)
		canvases := plot.Align(column, draw.Tiles{Cols: 1, Rows: len(plots), PadY: 10}, area)
		for i, p := range plots {
			p.Draw(canvases[i][0])
		}
		var b strings.Builder
		_, _ = canvas.WriteTo(&b) // a builder does not fail
		_, content, _ := strings.Cut(b.String(), "<svg")
		_, content, _ = strings.Cut(content, ">")
		id := f.ID + "-" + size.class
		f.Drawings = append(f.Drawings, template.HTML(fmt.Sprintf( //nolint:gosec // G203: the library and escape escape all texts
			`<svg class="%s" viewBox="0 0 %g %g" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>%s`,
			size.class, size.width.Points(), size.height.Points(), id, id, id, escape(f.Title), id, escape(f.Caption), pageColors.Replace(content))))
	}
	return f
}

func escape(s string) string { return template.HTMLEscapeString(s) }

// addLine draws points as a line, and fills the area below it with a color if there is one. A single point becomes a dot.
func addLine(p *plot.Plot, points plotter.XYs, c, area color.Color) {
	if len(points) == 1 {
		addDots(p, points, c)
		return
	}
	p.Add(&plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: c, Width: 1.75}, FillColor: area})
}

func addDots(p *plot.Plot, points plotter.XYs, c color.Color) {
	p.Add(&plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: c, Radius: 3, Shape: draw.CircleGlyph{}}})
}

// addLabel writes a text next to a point.
func addLabel(p *plot.Plot, at plotter.XY, text string, offset vg.Point, align draw.XAlignment) {
	style := p.X.Tick.Label
	style.Color, style.XAlign, style.YAlign = ink, align, draw.YCenter
	p.Add(&plotter.Labels{XYs: plotter.XYs{at}, Labels: []string{text}, TextStyle: []draw.TextStyle{style}, Offset: offset})
}

// logDurations makes a logarithmic axis of nanoseconds from lo to hi: a median of 2 ms and a
// maximum of 3 s are both readable.
// It has ticks at powers of ten, and at 2 and 5 times them if those are not more than maxTicks.
func logDurations(a *plot.Axis, lo, hi, maxTicks float64) {
	a.Scale = plot.LogScale{}
	a.Min, a.Max = roundStep(lo, false), roundStep(hi, true)
	if a.Min == a.Max {
		a.Max *= 2
	}
	decades := math.Log10(a.Max / a.Min)
	every := math.Ceil(decades / maxTicks) // decades from one tick to the next
	a.Tick.Marker = plot.TickerFunc(func(lo, hi float64) (ticks []plot.Tick) {
		for e := math.Floor(math.Log10(lo)); e <= math.Ceil(math.Log10(hi)); e++ {
			for _, m := range []float64{1, 2, 5} {
				if v := m * math.Pow(10, e); v >= lo*(1-1e-9) && v <= hi*(1+1e-9) && (m == 1 && math.Mod(e, every) == 0 || 3*decades < maxTicks) {
					ticks = append(ticks, plot.Tick{Value: min(max(v, lo), hi), Label: trimDuration(nanos(v))})
				}
			}
		}
		return ticks
	})
}

// roundStep rounds x down or up to 1, 2 or 5 times a power of ten.
func roundStep(x float64, up bool) float64 {
	x = max(x, 1)
	decade := math.Pow(10, math.Floor(math.Log10(x)))
	step := decade
	for _, m := range []float64{1, 2, 5, 10} {
		switch v := m * decade; {
		case v <= x*(1+1e-9):
			step = v
		case up && step < x*(1-1e-9):
			return v
		}
	}
	return step
}

// linearFromZero makes an axis from 0 to at least top, so that heights can be compared.
func linearFromZero(a *plot.Axis, top float64, label func(float64) string) {
	a.Min, a.Max = 0, max(top, 1e-9)
	a.AutoRescale = true
	a.Tick.Marker = labelled(label)
}

// labelled returns the library's ticks with labels of our own.
func labelled(label func(float64) string) plot.Ticker {
	return plot.TickerFunc(func(lo, hi float64) (ticks []plot.Tick) {
		for _, t := range (plot.DefaultTicks{}).Ticks(lo, hi) {
			if !t.IsMinor() {
				ticks = append(ticks, plot.Tick{Value: t.Value, Label: label(t.Value)})
			}
		}
		return ticks
	})
}

// runTime makes the x axis of a run and returns the unit of its values. It ends with the run: a
// longer axis would look like a pause.
func runTime(p *plot.Plot, end time.Duration) (unit time.Duration) {
	unit, name := time.Second, " s"
	switch {
	case end > 48*time.Hour:
		unit, name = 24*time.Hour, " d"
	case end > 2*time.Hour:
		unit, name = time.Hour, " h"
	case end > 2*time.Minute:
		unit, name = time.Minute, " min"
	}
	p.X.Min, p.X.Max = 0, max(end, time.Second).Seconds()/unit.Seconds()
	p.X.Tick.Marker = labelled(func(v float64) string { return short(v) + name })
	return unit
}
