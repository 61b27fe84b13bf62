package transports

import (
	"errors"
	"time"
)

// Options are the options of a run. The zero value has all defaults and takes about 80 seconds.
type Options struct {
	// Idle is how long an idle connection is measured, rounded up to whole heartbeat periods of
	// each transport. Default 1 minute.
	Idle time.Duration `json:"idle_ns"`
	// Events is the number of events over each transport. Default 20.
	Events int `json:"events"`
	// Interval is the time between two of them. Well below 200 ms later packets carry the
	// acknowledgements, and fewer packets are counted. Default 1 second.
	Interval time.Duration `json:"interval_ns"`
	// Payload is the size of an event's data in bytes, at least 2. Default 100.
	Payload int `json:"payload"`
	// Heartbeat is the time between two comments of SSE, and two pings of the WebSocket: proxies
	// close both after the same idle time. Default 15 seconds, as in Tidemark.
	Heartbeat time.Duration `json:"heartbeat_ns"`
	// Hold is how long a long poll waits before it is answered without an event. Default 30
	// seconds.
	Hold time.Duration `json:"hold_ns"`
	// PollInterval is the time between two short polls. Default 5 seconds.
	PollInterval time.Duration `json:"poll_interval_ns"`
	// Cookie is the size of the Cookie header of each request in bytes, in addition to the other
	// headers of a browser; none below 0. Default 400.
	Cookie int `json:"cookie"`
}

func (o Options) resolved() (Options, error) {
	setDefault(&o.Idle, time.Minute)
	setDefault(&o.Events, 20)
	setDefault(&o.Interval, time.Second)
	setDefault(&o.Payload, 100)
	setDefault(&o.Heartbeat, 15*time.Second)
	setDefault(&o.Hold, 30*time.Second)
	setDefault(&o.PollInterval, 5*time.Second)
	setDefault(&o.Cookie, 400)
	return o, o.check()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) check() error {
	if min(o.Idle, o.Interval, o.Heartbeat, o.Hold, o.PollInterval) < 0 {
		return errors.New("a duration must be above zero")
	}
	if o.Events < 0 {
		return errors.New("the number of events must be above zero")
	}
	if o.Payload < 2 || o.Payload > maxPayload {
		return errors.New("the payload must be from 2 bytes to 1 MiB")
	}
	if o.Cookie > maxCookie {
		return errors.New("the cookie must be at most 16 KiB")
	}
	return nil
}

const (
	maxPayload = 1 << 20
	maxCookie  = 16 << 10 // four of the largest that every browser stores (RFC 6265, section 6.1)
)
