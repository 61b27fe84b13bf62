package doctor

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Options configures Run.
type Options struct {
	Config config.Config
	// ConfigErr contains the errors of the configuration, joined; each is reported as one problem.
	ConfigErr error
	// Usable means that Config has the configured values, although some may be invalid. Without it, all
	// checks except those of the public URL are skipped.
	Usable bool

	NATS    natsconn.Options         // without a URL if the embedded server is used
	Streams []jetstream.StreamConfig // definitions
	JWT     *auth.JWTOptions         // nil if auth.identity does not contain jwt
	Version string

	// NodeURL and AdminURL are the URLs of a node of this configuration on this machine; empty if unknown.
	NodeURL, AdminURL string
	// Embedded describes the embedded server if NATS has no URL.
	Embedded EmbeddedOptions

	// Names used by the server in subjects, for the checks of permissions.
	RevocationStream, RevokeSubject, StatusSubject string

	// URL is the public URL of a feed; if it is empty, proxies are not checked. Header is sent with the
	// request, for example Authorization. Origin is the origin of a page.
	URL    string
	Header http.Header
	Origin string
	// CAFile (PEM) is trusted for URL in addition to the system's authorities.
	CAFile string
	// Publish stores one event with a lifetime, and measures its delay through URL.
	Publish bool

	Timeout time.Duration // of all checks; 40 s if zero
	// Waiting, if set, receives a text before a slow check. Run calls it from one goroutine.
	Waiting func(text string)
}

// EmbeddedOptions describes how a client of this machine connects to the embedded server of a node.
type EmbeddedOptions struct {
	URL string // empty if Err is set
	Err error  // the reason for an unknown address
	// NATS contains the login of commands. If OwnLogin is set, it differs from the node's login. Its URL
	// is ignored.
	NATS     natsconn.Options
	OwnLogin bool // the node logs in in memory, with a key of its process
}

// DefaultTimeout is long enough for two heartbeats of the default configuration.
const DefaultTimeout = 40 * time.Second

// doctor is the state of one run.
type doctor struct {
	Options
	node node // the node that answers at NodeURL
}

// Run runs all checks, for at most Options.Timeout. Checks that wait for network responses run
// concurrently.
func Run(ctx context.Context, opts Options) Report {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	d := &doctor{Options: opts}
	found := d.checkConfig(ctx)
	if opts.Usable {
		found = append(found, d.checkNode(ctx)...)
		found = append(found, d.checkOpenFiles()...)
		found = append(found, d.checkStore(ctx)...)
		found = append(found, d.checkExposure()...)
	}
	return newReport(append(found, d.checkOutside(ctx)...))
}

// checkOutside checks NATS and the public URL concurrently, because waiting for heartbeats takes time.
func (d *doctor) checkOutside(ctx context.Context) []Finding {
	nc, found := d.checkServers(ctx)
	if nc != nil {
		defer nc.Close()
	}
	var stored, public []Finding
	var both sync.WaitGroup
	both.Go(func() { public = d.checkURL(ctx, nc) })
	both.Go(func() {
		if nc != nil {
			stored = d.checkJetStream(ctx, nc)
		}
	})
	both.Wait()
	return append(append(found, stored...), public...)
}
