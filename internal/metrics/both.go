package metrics

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tidemark/tidemark/internal/histogram"
)

// started is about when counting began.
var started = time.Now()

// both is a native histogram with classic buckets beside it; the library's constant ones have
// either.
type both struct {
	prometheus.Metric
	snapshot histogram.Snapshot
}

// Write implements prometheus.Metric.
func (b both) Write(out *dto.Metric) error {
	if err := b.Metric.Write(out); err != nil {
		return err
	}
	for exp := lowest; exp <= highest; exp++ {
		n, end := b.snapshot.UpTo(exp), math.Exp2(float64(exp))
		out.Histogram.Bucket = append(out.Histogram.Bucket, &dto.Bucket{CumulativeCount: &n, UpperBound: &end})
	}
	return nil
}
