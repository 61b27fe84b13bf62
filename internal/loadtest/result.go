package loadtest

import "time"

// Result is what a run found: the summary that a terminal prints, the JSON of --json, and
// what the HTML report draws.
type Result struct {
	Scenario string        `json:"scenario"` // load, storm, soak
	URL      string        `json:"url"`
	Publish  string        `json:"publish"` // where events were published
	Pattern  Pattern       `json:"pattern"`
	Conns    int           `json:"conns"`
	Workers  int           `json:"workers"` // processes that shared them
	Rate     float64       `json:"rate"`    // events published a second, as asked for
	Burst    int           `json:"burst"`   // of them at the same instant
	Payload  int           `json:"payload"` // bytes of an event's data
	Started  time.Time     `json:"started"`
	Took     time.Duration `json:"took_ns"` // of the measured phase

	Connect   Connects      `json:"connect"`
	Published int           `json:"published"`
	Verdict   Verdict       `json:"verdict"`
	Latency   Latency       `json:"latency"`            // from the intended send time to the event's arrival
	Delivery  Delivery      `json:"delivery,omitzero"`  // of runs with bursts
	CaughtUp     time.Duration `json:"level_ns,omitempty"` // storm: from when the clients come back until the last is level
	WireBytes int64         `json:"wire_bytes"`         // received, headers and chunk framing included

	Servers []Usage  `json:"servers,omitempty"` // of the processes that --pid names
	Self    Usage    `json:"self"`              // of the stand, its workers included
	Series  []Sample `json:"series"`            // one a second
	Gauges  []Gauge  `json:"gauges,omitempty"`  // of the server's own metrics, as Metrics asked for them
}

// Pattern says who gets an event.
type Pattern string

// The patterns of a run.
const (
	Broadcast Pattern = "broadcast" // every connection
	PerUser   Pattern = "per-user"  // the connections of one user, in turn
)

// Connects is how the connections came about.
type Connects struct {
	Opened    int           `json:"opened"`
	Failed    int           `json:"failed"`
	Error     string        `json:"error,omitempty"` // the first failure
	Took      time.Duration `json:"took_ns"`
	PerSecond float64       `json:"per_second"`
	// Reconnects are those after a connection was lost or cut.
	Reconnects int `json:"reconnects"`
}

// Verdict compares what each client received with what was published for it.
type Verdict struct {
	Expected  int `json:"expected"` // deliveries that were due
	Delivered int `json:"delivered"`
	Lost      int `json:"lost"` // due and never received, nor covered by an announced gap
	Repeated  int `json:"repeated"`
	Reordered int `json:"reordered"`
	Foreign   int `json:"foreign"` // meant for another user
	Gaps      int `json:"gaps"`    // announced by the server
	// First are the first violations, as sentences.
	First []string `json:"first,omitempty"`
}

// OK reports that every client has what was published for it: once, in order.
func (v Verdict) OK() bool {
	return v.Lost == 0 && v.Repeated == 0 && v.Reordered == 0 && v.Foreign == 0
}

// Latency is a distribution of durations.
type Latency struct {
	Count   int64                    `json:"count"`
	Mean    time.Duration            `json:"mean_ns"`
	Max     time.Duration            `json:"max_ns"`
	At      map[string]time.Duration `json:"percentiles_ns"` // "50", "90", "99", "99.9"
	Buckets []Bucket                 `json:"buckets,omitempty"`
}

// Delivery is how long all deliveries of a run took, to the last receipt.
type Delivery struct {
	Since     Since         `json:"since"`
	Took      time.Duration `json:"took_ns"` // 0 when nothing came
	PerSecond float64       `json:"per_second"`
}

// Since is where a Delivery begins.
type Since string

// A run of one burst has an instant at which all was due.
const (
	BurstDue     Since = "burst due"
	FirstReceipt Since = "first receipt"
)

// Bucket counts the durations up to a bound and above the one before.
type Bucket struct {
	UpTo  time.Duration `json:"up_to_ns"`
	Count int64         `json:"count"`
}

// Usage is what a process took during the measured phase, read from /proc; of several it is the
// sum, in which pages that they share count once for each.
type Usage struct {
	PID            int           `json:"pid"`
	Name           string        `json:"name"`
	CPU            time.Duration `json:"cpu_ns"`
	CPUPerDelivery time.Duration `json:"cpu_per_delivery_ns"`
	ConnectCPU     time.Duration `json:"connect_cpu_ns"` // before that phase, while the connections were opened
	CPUPerConnect  time.Duration `json:"cpu_per_connect_ns"`
	RSSBefore      int64         `json:"rss_before"` // bytes, before the connections were opened
	RSSIdle        int64         `json:"rss_idle"`   // once they were open
	RSSAfter       int64         `json:"rss_after"`
	PerConn        int64         `json:"bytes_per_conn"` // (RSSIdle - RSSBefore) / connections
}

// Sample is one second of a run.
type Sample struct {
	At        time.Duration `json:"at_ns"` // since the start of the measured phase
	Connected int           `json:"connected"`
	Published int           `json:"published"` // within this second
	Delivered int           `json:"delivered"`
	P50       time.Duration `json:"p50_ns"`
	P99       time.Duration `json:"p99_ns"`
	Max       time.Duration `json:"max_ns"`
}
