package loadtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options are the options of a run. URL, Publish and Conns are required.
type Options struct {
	// URL is the address of the events. {user} in it becomes the user of each client.
	URL     string
	Headers []string // "Name: value", sent by each client; {user} as in URL
	Form    Form     // of the events; [FormSSE] when empty
	Conns   int
	// Sources are local addresses to connect from, in turn. One address has about 28,000
	// ports to one server, and the kernel finds the last of them slowly: 24,000 clients
	// reconnected in 7.2 s with one address and in 0.9 s with three.
	Sources []string
	// Workers is the number of processes that share the connections; only this one when 0 or 1.
	// With more, this process only publishes, and each worker has the limit of open files.
	Workers int
	// WorkerCommand is a program that calls RunWorker, and its arguments. Workers above 1 need it.
	WorkerCommand []string
	Ramp          time.Duration // time over which the connections are opened; all at once when zero

	Pattern Pattern
	Users   int // of the per-user pattern; one per client when zero

	Publish PublishTarget
	Rate    float64 // events a second
	// Burst is how many events have the same send time and are published together, in the order
	// of their numbers; each has its own when 0 or 1. Rate sets the time between bursts; the last
	// one may be smaller.
	Burst    int
	For      time.Duration // of publishing
	Payload  int           // bytes of an event's data, at least the marker's 50 or so
	PIDs     []int         // processes to measure
	Insecure bool          // accept any certificate
	HTTP2    bool          // over http:// with prior knowledge
	// StreamsPerConnection is how many clients share an HTTP/2 connection; each has its own when 0 or 1, as browsers do.
	StreamsPerConnection int
	// TLSCurves are the key exchanges that clients offer, such as X25519; those of crypto/tls when empty.
	TLSCurves []string
	// FullHandshakes prevents clients from resuming their last TLS session when they reconnect.
	FullHandshakes bool

	Metrics Metrics // of the server

	// Settle bounds the wait for the last deliveries; 10 s when zero.
	Settle time.Duration
	// Progress, if set, is called every second from the run's goroutine.
	Progress func(phase string, s Sample) `json:"-"`

	portable bool // use the engine of systems without epoll; for tests
}

func (o Options) withDefaults() Options {
	o.Pattern = cmp.Or(o.Pattern, Broadcast)
	o.Form = cmp.Or(o.Form, FormSSE)
	o.Workers = cmp.Or(o.Workers, 1)
	o.Burst = cmp.Or(o.Burst, 1)
	o.StreamsPerConnection = cmp.Or(o.StreamsPerConnection, 1)
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
	case o.Workers < 1 || o.Workers > o.Conns:
		return fmt.Errorf("--workers %d: from 1 to as many as there are connections, which is %d", o.Workers, o.Conns)
	case o.Workers > 1 && len(o.WorkerCommand) == 0:
		return errors.New("workers need a command that starts them")
	case o.Pattern != Broadcast && o.Pattern != PerUser:
		return fmt.Errorf("--pattern %q is neither %s nor %s", o.Pattern, Broadcast, PerUser)
	case !slices.Contains(forms, o.Form):
		return fmt.Errorf("--form %q: want one of %s", o.Form, strings.Trim(fmt.Sprint(forms), "[]"))
	case o.Rate <= 0:
		return fmt.Errorf("--rate %v: it must be above zero", o.Rate)
	case o.Burst < 1:
		return fmt.Errorf("--burst %d: it must be above zero", o.Burst)
	case o.Burst > 1 && o.Publish.Arrays && o.Payload+len(o.Publish.Body) > maxArrayBytes:
		return fmt.Errorf("--payload %d: with --burst an event goes in a request of at most %d bytes", o.Payload, maxArrayBytes)
	}
	switch n := o.StreamsPerConnection; {
	case n < 1:
		return fmt.Errorf("--streams-per-connection %d: it must be above zero", n)
	case n > 1 && !o.HTTP2:
		return fmt.Errorf("--streams-per-connection %d needs --http2: with HTTP/1.1 each client has its own connection", n)
	}
	if _, err := parseCurves(o.TLSCurves); err != nil {
		return err
	}
	sockets := divideUp(o.Conns, max(o.StreamsPerConnection, 1))
	return checkFileLimit(divideUp(sockets, o.Workers))
}

func divideUp(n, by int) int { return (n + by - 1) / by }

// reservedFiles are the open files of the load generator besides its connections.
const reservedFiles = 64

func fileLimitError(conns int, limit uint64) error {
	return fmt.Errorf("%d connections in a process need %d open files and the limit is %d: raise it (ulimit -n), or share them among more processes (--workers)", conns, conns+reservedFiles, limit)
}
