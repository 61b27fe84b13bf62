package report

import (
	"math"
	"time"
)

// axis maps values to 0…1 and knows where its gridlines are. Values beyond its ends are drawn
// at the ends.
type axis struct {
	title  string
	lo, hi float64
	log    bool
	ticks  []tick
}

type tick struct {
	at    float64
	label string
}

func (a axis) pos(v float64) float64 {
	lo, hi := a.lo, a.hi
	if a.log {
		lo, hi, v = math.Log(lo), math.Log(hi), math.Log(max(v, a.lo))
	}
	return min(max((v-lo)/(hi-lo), 0), 1)
}

// linearAxis begins at 0, so that heights can be compared. Its last tick is at or above top.
func linearAxis(title string, top, minStep float64, label func(float64) string) axis {
	step := max(niceStep(top/4), minStep)
	n := max(math.Ceil(top/step-1e-9), 1)
	a := axis{title: title, hi: n * step}
	for i := range int(n) + 1 {
		a.ticks = append(a.ticks, tick{float64(i) * step, label(float64(i) * step)})
	}
	return a
}

// niceStep is the 1, 2 or 5 times a power of ten at or above x.
func niceStep(x float64) float64 {
	if x <= 0 {
		return 0
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// clockAxis shows a run's time. It ends where the run ends, not at a tick: what comes after
// would look like a pause.
func clockAxis(end time.Duration, most int) axis {
	seconds := max(end.Seconds(), 1)
	step := clockStep(seconds / float64(most-1))
	unit, name := clockUnit(step)
	a := axis{title: "time since the start", hi: seconds}
	for i := range int(seconds/step) + 1 {
		at := float64(i) * step
		a.ticks = append(a.ticks, tick{at, short(at/unit) + " " + name})
	}
	a.ticks[0].label = "0"
	return a
}

func clockStep(least float64) float64 {
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200} {
		if s >= least {
			return s
		}
	}
	return 86400 * max(niceStep(least/86400), 1)
}

func clockUnit(step float64) (size float64, name string) {
	switch {
	case step < 60:
		return 1, "s"
	case step < 3600:
		return 60, "min"
	case step < 86400:
		return 3600, "h"
	default:
		return 86400, "d"
	}
}

// spanAxis is logarithmic: a median of 2 ms and a maximum of 3 s shall both be readable.
// Its ends are ticks around lo and hi, at most most ticks are drawn.
func spanAxis(title string, lo, hi float64, most int) axis {
	all := spanTicks()
	first, last := 0, len(all)-1
	for first+1 < last && all[first+1].at <= lo {
		first++
	}
	for last-1 > first && all[last-1].at >= hi {
		last--
	}
	inside := all[first : last+1]
	a := axis{title: title, log: true, lo: inside[0].at, hi: inside[len(inside)-1].at}
	a.ticks = thin(inside, most)
	return a
}

// spanTicks are the round durations in nanoseconds, about three to the decade. They reach
// beyond the longest time.Duration.
func spanTicks() []spanTick {
	var all []spanTick
	for _, u := range []struct {
		size  float64
		name  string
		times []float64
	}{
		{1, "ns", []float64{1, 2, 5, 10, 20, 50, 100, 200, 500}},
		{1e3, "µs", []float64{1, 2, 5, 10, 20, 50, 100, 200, 500}},
		{1e6, "ms", []float64{1, 2, 5, 10, 20, 50, 100, 200, 500}},
		{1e9, "s", []float64{1, 2, 5, 10, 20, 30}},
		{60e9, "min", []float64{1, 2, 5, 10, 20, 30}},
		{3600e9, "h", []float64{1, 2, 5, 10}},
		{86400e9, "d", []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5}},
	} {
		for _, n := range u.times {
			whole := math.Log10(n) == math.Trunc(math.Log10(n))
			all = append(all, spanTick{tick{n * u.size, count(int64(n)) + " " + u.name}, whole})
		}
	}
	return all
}

type spanTick struct {
	tick
	decade bool
}

// thin keeps all ticks, or those of decades, or every second of those, and so on.
func thin(all []spanTick, most int) []tick {
	var fine, coarse []tick
	for _, t := range all {
		fine = append(fine, t.tick)
		if t.decade {
			coarse = append(coarse, t.tick)
		}
	}
	if len(fine) <= most || len(coarse) < 2 {
		return fine
	}
	every := (len(coarse) + most - 1) / most
	var kept []tick
	for i := 0; i < len(coarse); i += every {
		kept = append(kept, coarse[i])
	}
	return kept
}
