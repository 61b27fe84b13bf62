package loadtest

import "time"

// Result is the result of a run: package report shows it, and its JSON is the output of --json.
type Result struct {
	Scenario string        `json:"scenario"` // load, storm, soak
	URL      string        `json:"url"`
	Publish  string        `json:"publish"` // where events were published
	Pattern  Pattern       `json:"pattern"`
	Form     Form          `json:"form"`
	Conns    int           `json:"conns"`
	Workers  int           `json:"workers"` // processes that shared them
	Rate     float64       `json:"rate"`    // events published a second, as requested
	Burst    int           `json:"burst"`   // of them with the same send time
	Payload  int           `json:"payload"` // bytes of an event's data
	Started  time.Time     `json:"started"`
	Took     time.Duration `json:"took_ns"` // of the measured phase

	Connect   Connects      `json:"connect"`
	Published int           `json:"published"`
	Verdict   Verdict       `json:"verdict"`
	Latency   Latency       `json:"latency"`                // from the intended send time to the event's arrival
	Delivery  Delivery      `json:"delivery,omitzero"`      // of runs with bursts
	CaughtUp  time.Duration `json:"caught_up_ns,omitempty"` // storm: from the reconnects until the last client has caught up
	Kills     int           `json:"kills,omitempty"`        // soak: of the server by --kill-every
	WireBytes int64         `json:"wire_bytes"`             // received, headers and chunk framing included

	Servers []Usage  `json:"servers,omitempty"` // of the processes that --pid names
	Self    Usage    `json:"self"`              // of the load generator, with its workers
	Series  []Sample `json:"series"`            // one a second
	Gauges  []Gauge  `json:"gauges,omitempty"`  // metrics of the server that Metrics names
}

// Pattern names the receivers of an event.
type Pattern string

// The patterns of a run.
const (
	Broadcast Pattern = "broadcast" // all connections
	PerUser   Pattern = "per-user"  // the connections of one user; users take turns
)

// Connects counts the opened connections.
type Connects struct {
	Opened    int           `json:"opened"`
	Failed    int           `json:"failed"`
	Error     string        `json:"error,omitempty"` // the first failure
	Took      time.Duration `json:"took_ns"`
	PerSecond float64       `json:"per_second"`
	// Reconnects are those after a connection had ended.
	Reconnects int `json:"reconnects"`
	// FullHandshakes and ResumedHandshakes are those of TLS during the whole run.
	FullHandshakes    int `json:"full_handshakes,omitempty"`
	ResumedHandshakes int `json:"resumed_handshakes,omitempty"`
}

// Verdict compares the received events of each client with the published ones.
type Verdict struct {
	Expected  int `json:"expected"` // deliveries that were to be made
	Delivered int `json:"delivered"`
	Lost      int `json:"lost"` // expected and never received, and not covered by an announced gap
	Repeated  int `json:"repeated"`
	Reordered int `json:"reordered"`
	Foreign   int `json:"foreign"` // meant for another user
	Gaps      int `json:"gaps"`    // announced by the server
	// First are the first violations, as sentences.
	First []string `json:"first,omitempty"`
}

// OK reports whether every client received what was published for it, once and in order.
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

// Delivery is the time of all deliveries of a run, up to the last receipt.
type Delivery struct {
	Since     Since         `json:"since"`
	Took      time.Duration `json:"took_ns"` // 0 when nothing was received
	PerSecond float64       `json:"per_second"`
}

// Since names the start of a Delivery.
type Since string

// A run of one burst begins at its send time.
const (
	BurstDue     Since = "burst due"
	FirstReceipt Since = "first receipt"
)

// Bucket counts the durations up to a bound and above the one before.
type Bucket struct {
	UpTo  time.Duration `json:"up_to_ns"`
	Count int64         `json:"count"`
}

// Usage is the use of resources by a process during the measured phase, read from /proc. That of
// several is the sum, in which shared pages count once for each.
type Usage struct {
	PID            int           `json:"pid"`
	Name           string        `json:"name"`
	CPU            time.Duration `json:"cpu_ns"`
	CPUPerDelivery time.Duration `json:"cpu_per_delivery_ns"`
	ConnectCPU     time.Duration `json:"connect_cpu_ns"` // before that phase, while connections were opened
	CPUPerConnect  time.Duration `json:"cpu_per_connect_ns"`
	// ReconnectCPU is that of a storm from the reconnects until the last client has caught up.
	ReconnectCPU    time.Duration `json:"reconnect_cpu_ns,omitempty"`
	CPUPerReconnect time.Duration `json:"cpu_per_reconnect_ns,omitempty"`
	RSSBefore       int64         `json:"rss_before"` // bytes, before the connections were opened
	RSSIdle         int64         `json:"rss_idle"`   // once they were open
	RSSAfter        int64         `json:"rss_after"`
	PerConn         int64         `json:"bytes_per_conn"` // (RSSIdle - RSSBefore) / connections
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
