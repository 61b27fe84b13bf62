package client

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Defaults of Options.
const (
	DefaultMinBackoff  = 500 * time.Millisecond
	DefaultMaxBackoff  = 30 * time.Second
	DefaultIdleTimeout = 45 * time.Second // three heartbeats of a server with default settings
)

// Options say what is followed, and how. URL alone is enough.
type Options struct {
	// URL is the feed, http or https, with the query that the feed takes (subject, only...).
	URL string

	// From is where to begin without a position: new, all, last, a sequence, an RFC 3339
	// time or a duration. It is sent as ?from= until the first position is known. Empty
	// leaves it to the server.
	From string

	// Header is sent with every request, such as Authorization. Accept and the fields that
	// keep caches and compression off are set over it, and so is Last-Event-ID once there
	// is a position.
	Header http.Header

	// State keeps the position from one Follow to the next. nil keeps it in this Follow
	// only.
	State State

	// HTTPClient makes the requests; nil means http.DefaultClient. Its Timeout must be 0,
	// for it would end every stream.
	HTTPClient *http.Client

	// MinBackoff and MaxBackoff bound the wait before a reconnect. What the server asks for
	// (retry:, Retry-After, retry_ms of a close) raises the lower bound, up to MaxBackoff.
	// 0 means DefaultMinBackoff and DefaultMaxBackoff.
	MinBackoff, MaxBackoff time.Duration

	// IdleTimeout is how long the server may send no byte, also before it answers. It must
	// be longer than the server's heartbeat interval. 0 means DefaultIdleTimeout, negative
	// waits for ever.
	IdleTimeout time.Duration

	// MaxEventSize bounds one event, in bytes; 0 means sse.DefaultMaxEventSize. A larger
	// event ends the loop with an *sse.TooLargeError: it would come again on every
	// reconnect.
	MaxEventSize int

	// OnDisconnect, if set, is called before each wait, in the goroutine that runs the
	// loop, with what ended the connection or prevented it.
	OnDisconnect func(err error, wait time.Duration)
}

func (o Options) withDefaults() Options {
	o.HTTPClient = cmp.Or(o.HTTPClient, http.DefaultClient)
	o.MinBackoff = cmp.Or(o.MinBackoff, DefaultMinBackoff)
	o.MaxBackoff = max(o.MinBackoff, cmp.Or(o.MaxBackoff, DefaultMaxBackoff))
	o.IdleTimeout = cmp.Or(o.IdleTimeout, DefaultIdleTimeout)
	if o.State == nil {
		o.State = noState{}
	}
	if o.OnDisconnect == nil {
		o.OnDisconnect = func(error, time.Duration) {}
	}
	return o
}

// feedURL is the parsed URL. What cannot be requested is an error now, because a failed
// request is retried.
func (o Options) feedURL() (*url.URL, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("feed URL: %w", withoutQuery(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("feed URL %q: want http://host/path or https://host/path", cutQuery(o.URL))
	}
	return u, nil
}
