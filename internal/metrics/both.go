package metrics

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tidemark/tidemark/internal/histogram"
)

// started is the approximate start of all counters.
var started = time.Now()

// both is a histogram with native and classic buckets. The library's constant histograms support only one
// form.
type dualHistogram struct {
	prometheus.Metric
	snapshot histogram.Snapshot
}

// Write implements prometheus.Metric.
func (b dualHistogram) Write(out *dto.Metric) error {
	if err := b.Metric.Write(out); err != nil {
		return err
	}
	for exp := lowest; exp <= highest; exp++ {
		n, end := b.snapshot.UpTo(exp), math.Exp2(float64(exp))
		out.Histogram.Bucket = append(out.Histogram.Bucket, &dto.Bucket{CumulativeCount: &n, UpperBound: &end})
	}
	return nil
}
