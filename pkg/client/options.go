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

// Options configures [Follow]. Only URL is required.
type Options struct {
	// URL is the http or https URL of the feed, including its query (subject, only, ...).
	URL string

	// From is the starting point without a position: new, all, last, a sequence, an RFC 3339
	// time or a duration. It is sent as ?from= until the first position is received. If it is empty,
	// the server decides.
	From string

	// UntilEnd follows the subjects of the URL's query (subject) until all of them are complete
	// (?until=end), and then ends the loop without an error. Without a position, the server starts
	// with the first stored event. An answer of 204 is such an end, too: State has the position of a
	// client that has received everything.
	UntilEnd bool

	// Header is sent with every request, for example Authorization. Follow overrides Accept,
	// Cache-Control, Accept-Encoding and, once there is a position, Last-Event-ID.
	Header http.Header

	// State keeps the position between calls of Follow. If it is nil, the position is kept during
	// this call only.
	State State

	// HTTPClient sends the requests; nil means http.DefaultClient. Its Timeout must be 0,
	// because it limits the whole response.
	HTTPClient *http.Client

	// MinBackoff and MaxBackoff are the limits of the wait before a reconnect. A delay sent by the
	// server (retry:, Retry-After, retry_ms of a close event) raises the lower limit, up to
	// MaxBackoff. 0 means DefaultMinBackoff and DefaultMaxBackoff.
	MinBackoff, MaxBackoff time.Duration

	// IdleTimeout is the longest time without a byte from the server, including the wait for
	// the response. It must be longer than the server's heartbeat interval. 0 means
	// DefaultIdleTimeout; a negative value disables the timeout.
	IdleTimeout time.Duration

	// MaxEventSize limits the size of one event, in bytes; 0 means sse.DefaultMaxEventSize. A
	// larger event ends the loop with an *sse.TooLargeError, because each reconnect would
	// receive it again.
	MaxEventSize int

	// OnDisconnect, if set, is called before each wait with the reason for the disconnect or the
	// failed connect. It runs in the goroutine of the loop.
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

// feedURL parses the URL. It rejects unusable URLs here, because failed requests are
// retried.
func (o Options) feedURL() (*url.URL, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("feed URL: %w", withoutQuery(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("feed URL %q: not an http URL; use http://host/path or https://host/path", cutQuery(o.URL))
	}
	return u, nil
}
