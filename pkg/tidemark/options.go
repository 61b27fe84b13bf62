package tidemark

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/httpserver"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Options configure [Open]. Stream is needed, and Subjects or Allow. The zero values of all others work.
type Options struct {
	// Stream is the name of the stream. Its retention must be by limits.
	Stream string
	// Subjects are received by every connection. They are subjects of the stream, in which whole tokens may be
	// wildcards (* and >) or variables of the identity, as in "news.user.{user}". A subject whose variable the
	// identity does not have is left out for that connection. The value of a variable is one token; characters that
	// a token cannot hold are percent-encoded ("." is "%2E").
	Subjects []string
	// Allow are the subjects that clients may request in addition, with ?subject=; of the same form.
	// A client may request up to 64 subjects within these.
	Allow []string

	// Identify returns the identity of a request; see package auth. When nil all clients are
	// anonymous, and subjects may have no variables. A request without an identity is answered with
	// 401; auth.First(source) admits it as anonymous. It is called once for each connection and may
	// block, and only that connection waits.
	Identify auth.Source
	// RevokeFor is how long [Feed.Revoke] rejects tokens; at least as long as a token may last. 24 h when zero.
	RevokeFor time.Duration

	// Domain is the JetStream domain of the stream, APIPrefix its API where the account imports it
	// under another subject than $JS.API. At most one may be set.
	Domain, APIPrefix string
	// TailConn and ReplayConn are further connections to the same account: for reading the end of the stream, and
	// for reading stored events on behalf of clients. When nil, nc serves for all. A NATS server sends the queue of
	// a connection in order, and disconnects the connection when the queue exceeds 64 MB: set both where clients
	// replay megabytes while others wait for live events. The caller owns them.
	TailConn, ReplayConn *nats.Conn
	// WaitForStream lets Open return though NATS is not reachable or the stream does not exist.
	// Connections then stay open and wait. A stream that cannot be served is logged, as an error.
	WaitForStream bool

	Window Window
	Limits Limits
	CORS   CORS

	// Retry is how long clients wait before they reconnect, each with a jitter of ±50 %; 2 s when
	// zero. RetryLater is the same for clients that are rejected because of a limit; 20 s when zero.
	Retry, RetryLater time.Duration
	// Heartbeat is the longest silence on a connection; 15 s when zero. Many proxies close a
	// connection that is silent for 60 s.
	Heartbeat time.Duration
	// WriteTimeout closes a connection whose client accepts no bytes for this long; 30 s when zero.
	WriteTimeout time.Duration
	// MaxAge closes a connection after this long, less a jitter of 10 %; MaxIdle after this long
	// without an event. Zero is never. Clients reconnect and resume.
	MaxAge, MaxIdle time.Duration
	// DrainPeriod is the time over which Drain closes connections one by one, faster where there are
	// few (200 a second at least); 10 s when zero.
	DrainPeriod time.Duration

	// Logger receives outages, gaps and one line at the end of each connection (at level Info); nil
	// discards.
	Logger *slog.Logger
}

// Window bounds the recent events in memory. Clients resume from them without reading the stream. The bound that
// is reached first counts. The zero value works.
type Window struct {
	Events int // 65,536 when zero
	Bytes  int // estimated memory of the events; 64 MiB when zero
}

// Limits bound the resources of clients. Unless the field states otherwise, zero means no limit. A client that
// exceeds a limit receives tidemark.close and reconnects after Options.RetryLater.
//
// An address is an IPv4 address, or the /64 of an IPv6 address.
type Limits struct {
	Connections int // of all clients together
	PerUser     int // of one user; clients without a user are not counted
	PerAddress  int // of one address
	// Replays bounds the connections that read stored events from JetStream at one time; 10,000
	// when zero. ReplayBytes bounds what they have requested, or read and not sent, together;
	// 32 MiB when zero. Those beyond it wait for their turn.
	Replays     int
	ReplayBytes int
	// ConnectsPerSecond is how often one address may connect in the long run, and ConnectsBurst how
	// often at once after a pause; ConnectsBurst is ConnectsPerSecond when zero.
	ConnectsPerSecond, ConnectsBurst int
	// LastSubjects bounds the subjects of one request with ?from=last; 10,000 when zero. Beyond it
	// the answer is 400: JetStream stores no event while it looks for them.
	LastSubjects int
	// TrustedProxies are proxies whose X-Forwarded-For names the client's address; see
	// [auth.ParsePrefixes]. When empty the address is that of the peer.
	TrustedProxies []netip.Prefix
}

// CORS allows pages of other origins to read a feed. The zero value allows none.
type CORS struct {
	// Origins are scheme, host and port, such as "https://app.example.com", or "*" for all pages.
	Origins []string
	// Credentials lets pages send cookies (EventSource's withCredentials). Not with "*".
	Credentials bool
}

// Waiting for ?from=last is bounded as the command does by default.
const (
	lastWaiting           = 64
	lastWaitingPerUser    = 4
	lastWaitingPerAddress = 16
)

// config is Options after they were checked.
type config struct {
	Options
	selection feedhttp.Selection
}

func (c config) limits() feedhttp.Limits {
	l := c.Limits
	return feedhttp.Limits{
		Connections: l.Connections, PerUser: l.PerUser, PerAddress: l.PerAddress, Replays: l.Replays,
		ConnectsPerSecond: l.ConnectsPerSecond, ConnectsBurst: cmp.Or(l.ConnectsBurst, l.ConnectsPerSecond),
		LastSubjects: l.LastSubjects, LastWaiting: lastWaiting, LastWaitingPerUser: lastWaitingPerUser, LastWaitingPerAddress: lastWaitingPerAddress,
	}
}

// templates are all that connections can receive.
func (c config) templates() []subject.Template {
	return append(append([]subject.Template{}, c.selection.Defaults...), c.selection.Allow...)
}

// resolve checks options and fills in defaults. The error names every problem.
func (o Options) resolve() (config, error) {
	o.Limits.Replays = cmp.Or(o.Limits.Replays, 10_000)
	o.Limits.LastSubjects = cmp.Or(o.Limits.LastSubjects, 10_000)
	o.DrainPeriod = cmp.Or(o.DrainPeriod, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := config{Options: o}
	errs := []error{o.checkStream(), o.checkNumbers()}
	for _, list := range []struct {
		name  string
		texts []string
		to    *[]subject.Template
	}{{"Options.Subjects", o.Subjects, &c.selection.Defaults}, {"Options.Allow", o.Allow, &c.selection.Allow}} {
		for i, text := range list.texts {
			t, err := o.template(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s[%d]: %w", list.name, i, err))
				continue
			}
			*list.to = append(*list.to, t)
		}
	}
	if len(o.Subjects)+len(o.Allow) == 0 {
		errs = append(errs, errors.New(`Options.Subjects: a feed needs subjects; name some of the stream, such as "news.>"`))
	}
	if err := httpserver.CheckCORS(o.CORS.Origins, o.CORS.Credentials); err != nil {
		errs = append(errs, fmt.Errorf("Options.CORS.Origins: %w", err))
	}
	return c, errors.Join(errs...)
}

func (o Options) template(text string) (subject.Template, error) {
	t, err := subject.ParseTemplate(text)
	if err != nil {
		return t, err
	}
	if variables := t.Variables(); len(variables) > 0 && o.Identify == nil {
		return t, fmt.Errorf("%q has the variable {%s}, and Options.Identify is nil; set it, such as to auth.TrustedHeader, or name a subject without variables", text, strings.Join(variables, "}, {"))
	}
	return t, nil
}

func (o Options) checkStream() error {
	if o.Stream == "" || strings.ContainsAny(o.Stream, " \t\r\n.*>/\\") {
		return fmt.Errorf("Options.Stream: %q is not the name of a stream; it is not empty and has no spaces, '.', '*', '>' and slashes", o.Stream)
	}
	if err := jsapi.CheckPrefix(o.Domain, o.APIPrefix); err != nil {
		return fmt.Errorf("Options.Domain, Options.APIPrefix: %w", err)
	}
	return nil
}

func (o Options) checkNumbers() error {
	var errs []error
	for name, n := range map[string]int{
		"Window.Events": o.Window.Events, "Window.Bytes": o.Window.Bytes,
		"Limits.Connections": o.Limits.Connections, "Limits.PerUser": o.Limits.PerUser, "Limits.PerAddress": o.Limits.PerAddress,
		"Limits.Replays": o.Limits.Replays, "Limits.ReplayBytes": o.Limits.ReplayBytes, "Limits.LastSubjects": o.Limits.LastSubjects,
		"Limits.ConnectsPerSecond": o.Limits.ConnectsPerSecond, "Limits.ConnectsBurst": o.Limits.ConnectsBurst,
		"Retry": int(o.Retry), "RetryLater": int(o.RetryLater), "Heartbeat": int(o.Heartbeat), "WriteTimeout": int(o.WriteTimeout),
		"MaxAge": int(o.MaxAge), "MaxIdle": int(o.MaxIdle), "DrainPeriod": int(o.DrainPeriod), "RevokeFor": int(o.RevokeFor),
	} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("%s: it is negative", "Options."+name))
		}
	}
	return errors.Join(errs...)
}
