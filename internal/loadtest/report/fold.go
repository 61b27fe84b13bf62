package report

import (
	"math"
	"time"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// maxPoints bounds the points of a series that are drawn and listed. A soak of a day has 86,400.
const maxPoints = 180

// fold joins neighbouring samples until at most maxPoints are left. It keeps the worst latencies and
// the lowest count of clients; the rest are means.
func fold(series []loadtest.Sample) (folded []loadtest.Sample, each int) {
	each = max((len(series)+maxPoints-1)/maxPoints, 1)
	for len(series) > 0 {
		n := min(each, len(series))
		folded = append(folded, foldOne(series[:n]))
		series = series[n:]
	}
	return folded, each
}

func foldOne(group []loadtest.Sample) loadtest.Sample {
	out := group[len(group)-1]
	if len(group) == 1 {
		return out
	}
	var published, delivered, p50 mean
	for _, s := range group {
		published.add(float64(s.Published))
		delivered.add(float64(s.Delivered))
		if s.P50 > 0 {
			p50.add(float64(s.P50))
		}
		out.Connected = min(out.Connected, s.Connected)
		out.P99, out.Max = max(out.P99, s.P99), max(out.Max, s.Max)
	}
	out.Published, out.Delivered, out.P50 = published.int(), delivered.int(), time.Duration(p50.int())
	return out
}

// mean adds up floats: the sum of large integers might overflow.
type mean struct{ sum, n float64 }

func (m *mean) add(x float64) { m.sum, m.n = m.sum+x, m.n+1 }

func (m *mean) int() int {
	if m.n == 0 {
		return 0
	}
	if x := math.Round(m.sum / m.n); x < math.MaxInt64 {
		return int(x)
	}
	return math.MaxInt64
}
