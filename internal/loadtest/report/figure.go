package report

import (
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// figure is a plot with its title, its description in words, and its values as a table. Without
// data it has words only.
type figure struct {
	ID, Title, Caption string
	Legend             []string // names of lines, which are classes of the page too
	Drawings           []template.HTML
	Table              table
}

type table struct {
	Head []string
	Rows [][]string
}

func (t *table) add(cells ...string) { t.Rows = append(t.Rows, cells) }

func figures(r loadtest.Result) []figure {
	series, each := fold(r.Series)
	note := ""
	if each > 1 {
		note = fmt.Sprintf(" Each point covers %d samples: mean of deliveries and p50, highest p99 and maximum, lowest count of clients.", each)
	}
	all := []figure{distribution(r.Latency), percentileCurve(r.Latency), throughput(series, note), latencyOverTime(series, note)}
	for i, g := range r.Gauges {
		all = append(all, gaugeFigure("gauge-"+count(i+1), g))
	}
	return all
}

// bin is a bar of the distribution. Bounds are in nanoseconds. The count is a float because the
// sum of several may not fit an integer.
type bin struct{ lo, hi, count float64 }

// bins returns the buckets of l that are not empty, with both bounds.
func bins(l loadtest.Latency) (all []bin, total float64) {
	for i, b := range l.Buckets {
		hi := max(float64(b.UpTo), 1)
		lo := hi / 2 // buckets have no lower bound
		if i > 0 {
			lo = min(max(float64(l.Buckets[i-1].UpTo), 1), hi/1.01)
		} else if len(l.Buckets) > 1 {
			lo = max(lo, hi*hi/max(float64(l.Buckets[1].UpTo), 1.01*hi))
		}
		if b.Count > 0 {
			all = append(all, bin{lo, hi, float64(b.Count)})
			total += float64(b.Count)
		}
	}
	// No latency in the last bucket is above the maximum.
	if n := len(all); n > 0 && float64(l.Max) > all[n-1].lo {
		all[n-1].hi = min(all[n-1].hi, float64(l.Max))
	}
	return all, total
}

// tableRows bounds the distribution's table: a histogram may have thousands of buckets.
const tableRows = 60

func distribution(l loadtest.Latency) figure {
	f := figure{ID: "distribution", Title: "Distribution of latency", Caption: "No latencies were recorded."}
	all, total := bins(l)
	if len(all) == 0 {
		return f
	}
	f.Caption = "Deliveries by latency, which is measured from the intended send time. The scale of time is logarithmic."
	f.Table.Head = []string{"latency up to", "deliveries", "share", "share up to here"}
	each, sum, seen := (len(all)+tableRows-1)/tableRows, 0.0, 0.0
	for i, b := range all {
		sum += b.count
		if i%each == each-1 || i == len(all)-1 {
			seen += sum
			f.Table.add(duration(nanos(b.hi)), digits(sum), share(sum, total), share(seen, total))
			sum = 0
		}
	}

	p := newPlot("latency", "share of deliveries")
	var top float64
	for _, b := range all {
		top = max(top, 100*b.count/total)
	}
	h := &plotter.Histogram{FillColor: blue, LineStyle: draw.LineStyle{Color: blue, Width: 1}} // the outline closes seams
	for _, b := range all {
		// A bar of few deliveries stays visible: the slowest deliveries matter most.
		h.Bins = append(h.Bins, plotter.HistogramBin{Min: b.lo, Max: b.hi, Weight: max(100*b.count/total, top/150)})
	}
	p.Add(h)
	logDurations(&p.X, all[0].lo, all[len(all)-1].hi, 6)
	marks := marks(l)
	linearFromZero(&p.Y, top, func(v float64) string { return short(v) + " %" })
	for i, m := range marks {
		x := min(max(float64(m.at), p.X.Min), p.X.Max)
		height := top * (1.15 + 0.09*float64(i)) // each label has its own row, which only later lines reach
		dashed := draw.LineStyle{Color: ink, Width: 1, Dashes: []vg.Length{3, 3}}
		p.Add(&plotter.Line{XYs: plotter.XYs{{X: x}, {X: x, Y: height}}, LineStyle: dashed})
		align, offset := draw.XRight, vg.Length(-9)
		if p.X.Norm(x) < 0.25 {
			align, offset = draw.XLeft, 4
		}
		addLabel(p, plotter.XY{X: x, Y: height}, m.name+" "+duration(m.at), vg.Point{X: offset}, align)
	}
	return f.drawn(p)
}

// marks are the percentiles that the distribution shows, and the maximum.
func marks(l loadtest.Latency) (out []percentile) {
	for _, p := range percentiles(l) {
		if p.name == "50" || p.name == "99" {
			out = append(out, percentile{"p" + p.name, p.rank, p.at})
		}
	}
	return append(out, percentile{"max", 100, l.Max})
}

// maxNines is where the percentile curve ends: 99.999 %.
const maxNines = 5

func nines(share float64) float64 { return -math.Log10(max(1-share, 1e-9)) }

func percentileCurve(l loadtest.Latency) figure {
	f := figure{ID: "percentiles", Title: "Latency by percentile", Caption: "No percentiles were recorded."}
	named := percentiles(l)
	all, total := bins(l)
	if len(named) == 0 || len(all) == 0 {
		return f
	}
	f.Caption = "The share of deliveries that took no longer than a given time. From one power of ten to the next a tenth of the deliveries remains, so that rare delays have as much space as common ones."
	f.Table.Head = []string{"percentile", "latency"}
	for _, p := range named {
		f.Table.add("p"+p.name, duration(p.at))
	}
	f.Table.add("max", duration(l.Max))

	// The curve follows the buckets, which are finer than the named percentiles, as far as there
	// are enough deliveries: a p99.9 of ten deliveries means nothing.
	end := min(max(math.Log10(total), 1), maxNines)
	curve := plotter.XYs{{X: 0, Y: max(all[0].lo, 1)}}
	seen := 0.0
	for _, b := range all {
		seen += b.count
		at := min(nines(seen/total), end)
		curve = append(curve, plotter.XY{X: at, Y: b.hi})
		if at == end {
			break
		}
	}
	p := newPlot("share of deliveries in %", "latency at most")
	addLine(p, curve, blue, nil)
	logDurations(&p.Y, curve[0].Y, curve[len(curve)-1].Y, 9)
	p.X.Min, p.X.Max = 0, curve[len(curve)-1].X
	ticks := plot.ConstantTicks{{Value: 0, Label: "0"}}
	for i := 1.0; i <= end; i++ {
		ticks = append(ticks, plot.Tick{Value: i, Label: strconv.FormatFloat(100-math.Pow(10, 2-i), 'f', max(int(i)-2, 0), 64)})
	}
	p.X.Tick.Marker = ticks
	for i, q := range named {
		at := plotter.XY{X: nines(q.rank / 100), Y: min(max(float64(q.at), p.Y.Min), p.Y.Max)}
		if at.X > end {
			continue
		}
		addDots(p, plotter.XYs{at}, blue)
		// Both sides are clear of a rising curve; in turn, they are clear of each other.
		offset, align := vg.Point{X: 8, Y: -9}, draw.XLeft
		if i%2 == 1 {
			offset, align = vg.Point{X: -15, Y: 9}, draw.XRight
		}
		addLabel(p, at, "p"+q.name+" "+duration(q.at), offset, align)
	}
	return f.drawn(p)
}

// throughput has two panels over one time axis. Two scales in one panel would make lines cross
// without a meaning.
func throughput(series []loadtest.Sample, note string) figure {
	f := figure{ID: "deliveries", Title: "Deliveries and clients over time", Caption: "No samples were taken."}
	if len(series) == 0 {
		return f
	}
	f.Caption = "Above: deliveries a second. Below: connected clients." + note
	f.Table.Head = []string{"time", "clients", "published/s", "delivered/s"}
	above, below := newPlot("", "deliveries/s"), newPlot("time since the start", "clients")
	unit := runTime(above, lastAt(series))
	runTime(below, lastAt(series))
	var delivered, clients plotter.XYs
	var most [2]float64
	for _, s := range series {
		f.Table.add(clock(s.At), count(s.Connected), count(s.Published), count(s.Delivered))
		at := s.At.Seconds() / unit.Seconds()
		delivered = append(delivered, plotter.XY{X: at, Y: float64(s.Delivered)})
		clients = append(clients, plotter.XY{X: at, Y: float64(s.Connected)})
		most = [2]float64{max(most[0], float64(s.Delivered)), max(most[1], float64(s.Connected))}
	}
	addLine(above, delivered, blue, blueArea)
	addLine(below, clients, violet, violetArea)
	linearFromZero(&above.Y, most[0], short)
	linearFromZero(&below.Y, most[1], short)
	return f.drawn(above, below)
}

func lastAt(series []loadtest.Sample) (last time.Duration) {
	for _, s := range series {
		last = max(last, s.At)
	}
	return last
}

func latencyOverTime(series []loadtest.Sample, note string) figure {
	f := figure{ID: "latency", Title: "Latency over time", Caption: "No latencies were sampled."}
	p := newPlot("time since the start", "latency")
	unit := runTime(p, lastAt(series))
	lo, hi := math.Inf(1), 0.0
	for _, q := range []struct {
		color color.Color
		of    func(loadtest.Sample) time.Duration
	}{
		{red, func(s loadtest.Sample) time.Duration { return s.Max }},
		{amber, func(s loadtest.Sample) time.Duration { return s.P99 }},
		{blue, func(s loadtest.Sample) time.Duration { return s.P50 }},
	} {
		var line plotter.XYs // ends at a second without a latency
		for _, s := range series {
			if v := float64(q.of(s)); v > 0 {
				line = append(line, plotter.XY{X: s.At.Seconds() / unit.Seconds(), Y: v})
				lo, hi = min(lo, v), max(hi, v)
			} else if len(line) > 0 {
				addLine(p, line, q.color, nil)
				line = nil
			}
		}
		if len(line) > 0 {
			addLine(p, line, q.color, nil)
		}
	}
	if hi == 0 {
		return f
	}
	logDurations(&p.Y, lo, hi, 9)
	f.Caption = "Median, 99th percentile and maximum of each second, on a logarithmic scale. A line has a gap where nothing arrived." + note
	f.Legend = []string{"max", "p99", "p50"}
	f.Table.Head = []string{"time", "p50", "p99", "max"}
	for _, s := range series {
		f.Table.add(clock(s.At), duration(s.P50), duration(s.P99), duration(s.Max))
	}
	return f.drawn(p)
}
