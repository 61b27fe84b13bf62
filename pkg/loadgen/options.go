package loadgen

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Options say what a run does. URL, Publish and Conns are needed.
type Options struct {
	// URL is where events come from. {user} in it becomes the user of each client.
	URL     string
	Headers []string // "Name: value", sent by each client; {user} as in URL
	Conns   int
	// Sources are local addresses to connect from, in turn. One address has about 28,000
	// ports to one server.
	Sources []string
	Ramp    time.Duration // over which the connections are opened; at once when zero

	Pattern Pattern
	Users   int // of the per-user pattern; one for each client when zero

	Publish  PublishTarget
	Rate     float64       // events a second
	For      time.Duration // of publishing
	Payload  int           // bytes of an event's data, at least the marker's 50 or so
	PIDs     []int         // processes to measure
	Insecure bool          // take any certificate
	HTTP2    bool          // many streams on a connection; over http:// with prior knowledge

	// Settle bounds the wait for the last deliveries; 10 s when zero.
	Settle time.Duration
	// Progress, if set, is called every second from the run's goroutine.
	Progress func(phase string, s Sample)
}

func (o Options) withDefaults() Options {
	o.Pattern = cmp.Or(o.Pattern, Broadcast)
	o.Users = cmp.Or(o.Users, o.Conns)
	o.Settle = cmp.Or(o.Settle, 10*time.Second)
	if o.Progress == nil {
		o.Progress = func(string, Sample) {}
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.Conns < 1:
		return errors.New("--conns: at least one connection is needed")
	case o.Pattern != Broadcast && o.Pattern != PerUser:
		return fmt.Errorf("--pattern %q is neither %s nor %s", o.Pattern, Broadcast, PerUser)
	case o.Rate <= 0:
		return fmt.Errorf("--rate %v: it must be above zero", o.Rate)
	}
	return checkFiles(o.Conns)
}

// spareFiles is what the stand needs beside its connections.
const spareFiles = 64

func tooManyFiles(conns int, limit uint64) error {
	return fmt.Errorf("%d connections need %d open files and the limit is %d: raise it (ulimit -n), or run several stands", conns, conns+spareFiles, limit)
}
