package loadtest

import "time"

// request is a line of JSON that a worker reads. What it asks for is a method of crowd.
type request struct {
	ID int    `json:"id"` // above 0; its answer has the same
	Do string `json:"do"`

	Options   *Options       `json:"options,omitempty"` // to start
	Share     partition          `json:"share,omitzero"`    // to start
	Numbers   map[string]int `json:"numbers,omitempty"` // to aim, and to finish
	PerSecond float64        `json:"per_second,omitempty"`
	Absence   time.Duration  `json:"absence_ns,omitempty"`
}

// What a worker is asked to do.
const (
	toStart         = "start" // before all else
	toOpenAll       = "open all"
	toSample        = "sample"
	toAim           = "aim" // answered when all are level
	toCutAll        = "cut all"
	toReturnAll     = "return all"
	toChurn         = "churn" // answered at once
	toEverybodyBack = "everybody back"
	toFinish        = "finish"
)

// answer is a line of JSON that a worker writes. Requests that take longer are answered after
// later ones. The answer 0 was not asked for: it tells an error that ends the run.
type answer struct {
	ID    int    `json:"id"`
	Error string `json:"error,omitempty"`

	Connects  Connects   `json:"connects,omitzero"`
	Connected int        `json:"connected,omitempty"`
	Second    *histogram `json:"second,omitempty"`
	Level     time.Time  `json:"level,omitzero"` // processes of a machine have one clock
	Harvest   *clientsResult   `json:"harvest,omitempty"`
}
