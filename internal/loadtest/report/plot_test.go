package report

import (
	"regexp"
	"strings"
	"testing"

	"gonum.org/v1/plot"
)

func TestLogDurations_AnyRange_HasTicksWithinTheAxis(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		ticks  string
	}{
		{1.5e6, 3e6, "1 ms 2 ms 5 ms"},
		{1.9e5, 3.6e8, "100 µs 1 ms 10 ms 100 ms"},
		{1e6, 1e6, "1 ms 2 ms"},
		{0, 1, "1 ns 2 ns"},
		{1, 9e18, "1 ns 1 µs 1 ms 1 s 16 min 40 s 11 d 13 h 11,574 d 1 h"},
	} {
		p := plot.New()
		logDurations(&p.Y, c.lo, c.hi, 8)
		if p.Y.Min > max(c.lo, 1) || p.Y.Max < c.hi || p.Y.Min >= p.Y.Max {
			t.Errorf("%v to %v: the axis is from %v to %v", c.lo, c.hi, p.Y.Min, p.Y.Max)
		}
		var labels []string
		for _, tick := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
			if tick.Value < p.Y.Min || tick.Value > p.Y.Max {
				t.Errorf("%v to %v: %v is outside of the axis", c.lo, c.hi, tick)
			}
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != c.ticks {
			t.Errorf("%v to %v: ticks %s, want %s", c.lo, c.hi, got, c.ticks)
		}
	}
}

// The library's colours are fixed: the page must replace all of them.
func TestHTML_Plots_HaveColoursOfTheTheme(t *testing.T) {
	page := htmlOf(t, soakRun())
	svg := page[strings.Index(page, "<svg"):strings.LastIndex(page, "</svg>")]
	if fixed := regexp.MustCompile(`(fill|stroke):#\w+`).FindString(svg); fixed != "" {
		t.Errorf("a plot has the fixed colour %s", fixed)
	}
	for _, name := range []string{"ink", "soft", "grid", "blue", "amber", "red", "violet"} {
		if !strings.Contains(svg, "var(--"+name+")") {
			t.Errorf("no plot has the colour %s", name)
		}
	}
}
