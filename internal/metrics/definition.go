package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemark/tidemark/internal/histogram"
)

// prefix begins the names of all metrics but those of the process and of the Go runtime.
const prefix = "tidemark_"

// kind is the type of a metric, by Prometheus's name.
type kind string

const (
	counter kind = "counter"
	gauge   kind = "gauge"
	hist    kind = "histogram"
)

// definition is one metric. Labels have few values: feeds and streams are configured, all
// others are listed in the code. Users, subjects and addresses are never among them.
type definition struct {
	name   string // without prefix
	kind   kind
	labels []string
	help   string
	desc   *prometheus.Desc
}

// all are the definitions, in the order in which they were made.
var all []*definition

func define(kind kind, name, help string, labels ...string) *definition {
	d := &definition{
		name: name, kind: kind, labels: labels, help: help,
		desc: prometheus.NewDesc(prefix+name, help, labels, nil),
	}
	all = append(all, d)
	return d
}

// sink takes the values of one scrape.
type sink chan<- prometheus.Metric

// number is what a gauge or a counter may be given.
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

// Classic buckets end at 2^lowest to 2^highest seconds, 1 ms to 64 s, where native ones end, too.
const lowest, highest = -10, 6

// sendHistogram gives a histogram both its forms. A scrape by protobuf gets native buckets,
// within 9 % of the truth; one by text, and a Prometheus that takes no native ones, gets the
// classic ones, within a factor of two.
func sendHistogram(to sink, d *definition, s histogram.Snapshot, labels ...string) {
	counts := make(map[int]int64, len(s.Buckets))
	for i, n := range s.Buckets {
		counts[i] = int64(n) //nolint:gosec // a count of what happened
	}
	native, err := prometheus.NewConstNativeHistogram(d.desc, s.Count, s.Sum, counts, nil, s.Zero, histogram.Schema, histogram.Floor, started, labels...)
	if err != nil {
		to <- prometheus.NewInvalidMetric(d.desc, err)
		return
	}
	to <- both{native, s}
}
