package report

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// none stands for a missing value.
const none = "–"

// duration writes d with three digits, in a readable unit.
func duration(d time.Duration) string {
	if d < 0 {
		// The most negative duration has no positive counterpart.
		return "−" + duration(-max(d, -math.MaxInt64))
	}
	// The bounds allow for rounding: 999.6 µs is 1.00 ms, not 1000 µs.
	switch {
	case d == 0:
		return "0"
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + " ns"
	case d < 999_500*time.Nanosecond:
		return digits(float64(d)/float64(time.Microsecond)) + " µs"
	case d < 999_500*time.Microsecond:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	case d < 2*time.Minute:
		return digits(d.Seconds()) + " s"
	default:
		return longDuration(d)
	}
}

func longDuration(d time.Duration) string {
	switch {
	case d < 2*time.Hour:
		return twoUnits(d.Round(time.Second), time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return twoUnits(d.Round(time.Minute), time.Hour, "h", time.Minute, "min")
	default:
		// Rounding up could overflow, and an hour matters little here.
		return twoUnits(d.Truncate(time.Hour), 24*time.Hour, "d", time.Hour, "h")
	}
}

func twoUnits(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	s := count(int64(d/big)) + " " + bigName
	if rest := d % big / small; rest > 0 {
		s += " " + count(int64(rest)) + " " + smallName
	}
	return s
}

// digits writes x with three digits, or all of its whole ones.
func digits(x float64) string {
	switch {
	case x >= 99.95:
		return count(int64(math.Round(min(x, 1e18))))
	case x >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
}

func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// count writes n with separators of thousands.
func count[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// rate writes x as a rate per second.
func rate(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return none
	}
	return trimZeros(digits(x)) + "/s"
}

// per divides n by the length of d, for rate.
func per(n int, d time.Duration) float64 {
	if d <= 0 {
		return math.NaN()
	}
	return float64(n) / d.Seconds()
}

// size writes bytes in binary units.
func size(n int64) string {
	if n < 0 {
		return "−" + size(-max(n, -math.MaxInt64))
	}
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	x, unit := float64(n)/1024, 0
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for x >= 1023.5 && unit < len(units)-1 {
		x, unit = x/1024, unit+1
	}
	return digits(x) + " " + units[unit]
}

// share writes part of whole in percent. Less than all is never 100 %.
func share(part, whole float64) string {
	if whole <= 0 {
		return none
	}
	p := 100 * part / whole
	switch {
	case p > 99.99 && p < 100:
		return "> 99.99 %"
	case p > 0 && p < 0.01:
		return "< 0.01 %"
	default:
		return trimZeros(strconv.FormatFloat(p, 'f', 2, 64)) + " %"
	}
}

// short writes x for an axis: 250k, 1.5M.
func short(x float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if x >= u.size {
			return strconv.FormatFloat(x/u.size, 'g', 6, 64) + u.name
		}
	}
	return strconv.FormatFloat(x, 'g', 6, 64)
}

// trimDuration writes a round duration for an axis: 10 ms, not 10.0 ms.
func trimDuration(d time.Duration) string {
	number, unit, _ := strings.Cut(duration(d), " ")
	return trimZeros(number) + " " + unit
}

// nanos converts a bound to a duration. The longest one does not survive as a float.
func nanos(x float64) time.Duration {
	if x >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(x))
}
