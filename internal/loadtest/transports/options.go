package transports

import (
	"errors"
	"time"
)

// Options of a run. The zero value takes every default, and about 80 seconds.
type Options struct {
	// Idle is the span over which the cost of waiting is measured, rounded up to whole
	// keep-alive periods of each transport. Default 1 minute.
	Idle time.Duration `json:"idle_ns"`
	// Events is how many events each transport carries. Default 20.
	Events int `json:"events"`
	// Interval is the time between two of them. Well below 200 ms acknowledgements ride on
	// later packets, and fewer packets are counted. Default 1 second.
	Interval time.Duration `json:"interval_ns"`
	// Payload is the size of an event's data in bytes, at least 2. Default 100.
	Payload int `json:"payload"`
	// Heartbeat is the time between two comments of SSE, and two pings of the WebSocket: what
	// a proxy needs to see is the same for both. Default 15 seconds, as Tidemark.
	Heartbeat time.Duration `json:"heartbeat_ns"`
	// Hold is how long a long poll is held before it is answered with nothing. Default 30
	// seconds.
	Hold time.Duration `json:"hold_ns"`
	// PollInterval is the time between two short polls. Default 5 seconds.
	PollInterval time.Duration `json:"poll_interval_ns"`
	// Cookie is the size of each request's Cookie header in bytes; below 0 there is none.
	// Default 400. The other headers of a browser come on top.
	Cookie int `json:"cookie"`
}

func (o Options) resolved() (Options, error) {
	fill(&o.Idle, time.Minute)
	fill(&o.Events, 20)
	fill(&o.Interval, time.Second)
	fill(&o.Payload, 100)
	fill(&o.Heartbeat, 15*time.Second)
	fill(&o.Hold, 30*time.Second)
	fill(&o.PollInterval, 5*time.Second)
	fill(&o.Cookie, 400)
	return o, o.check()
}

func fill[T comparable](field *T, value T) {
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
	maxCookie  = 16 << 10 // four of the largest that every browser keeps (RFC 6265, section 6.1)
)
