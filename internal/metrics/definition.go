package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemark/tidemark/internal/histogram"
)

// prefix is the prefix of all metrics, except those of the process and of the Go runtime.
const prefix = "tidemark_"

// kind is the type of a metric, by Prometheus's name.
type kind string

const (
	counter kind = "counter"
	gauge   kind = "gauge"
	hist    kind = "histogram"
)

// definition defines a metric. Labels have few values: feeds and streams from the configuration, and
// constants of the code. Users, subjects and addresses are never used as labels.
type definition struct {
	name   string // without prefix
	kind   kind
	labels []string
	help   string
	desc   *prometheus.Desc
}

// all contains the definitions in the order of the source.
var all []*definition

func define(kind kind, name, help string, labels ...string) *definition {
	d := &definition{
		name: name, kind: kind, labels: labels, help: help,
		desc: prometheus.NewDesc(prefix+name, help, labels, nil),
	}
	all = append(all, d)
	return d
}

// sink receives the values of one scrape.
type sink chan<- prometheus.Metric

// number is a value of a gauge or a counter.
type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

func send[N number](to sink, d *definition, value N, labels ...string) {
	kind := prometheus.GaugeValue
	if d.kind == counter {
		kind = prometheus.CounterValue
	}
	to <- prometheus.MustNewConstMetric(d.desc, kind, float64(value), labels...)
}

func sendBool(to sink, d *definition, is bool, labels ...string) {
	value := 0
	if is {
		value = 1
	}
	send(to, d, value, labels...)
}

// The upper limits of classic buckets are 2^lowest to 2^highest seconds, 1 ms to 64 s. They are also limits
// of native buckets.
const lowest, highest = -10, 6

// sendHistogram sends a histogram in both forms. A scrape with protobuf receives native buckets, with an
// error of at most 9 %. A text scrape, or a Prometheus without native histograms, uses the classic buckets,
// with an error of at most a factor of two.
func sendHistogram(to sink, d *definition, s histogram.Snapshot, labels ...string) {
	counts := make(map[int]int64, len(s.Buckets))
	for i, n := range s.Buckets {
		counts[i] = int64(n) //nolint:gosec // a count, far below the limit
	}
	native, err := prometheus.NewConstNativeHistogram(d.desc, s.Count, s.Sum, counts, nil, s.Zero, histogram.Schema, histogram.Floor, started, labels...)
	if err != nil {
		to <- prometheus.NewInvalidMetric(d.desc, err)
		return
	}
	to <- dualHistogram{native, s}
}
