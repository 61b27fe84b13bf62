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

// Options say what to examine.
type Options struct {
	Config config.Config
	// ConfigErr is what is wrong with the configuration, joined; each error is one problem.
	ConfigErr error
	// Usable reports that Config has the values that were configured, also where some of them cannot
	// work. Without it all checks but those of the public URL are skipped.
	Usable bool

	NATS    natsconn.Options         // without a URL where the embedded server is used
	Streams []jetstream.StreamConfig // definitions
	JWT     *auth.JWTOptions         // nil where auth.identity has no jwt
	Version string

	// NodeURL and AdminURL are where this machine reaches a node of this configuration; empty where that
	// is not known.
	NodeURL, AdminURL string
	// Embedded describes the embedded server where NATS has no URL.
	Embedded EmbeddedOptions

	// Names of the server that permissions are for.
	RevocationStream, RevokeSubject, StatusSubject string

	// URL is the public URL of a feed; empty skips the checks of proxies. Header is sent with the
	// request, such as Authorization, and Origin stands for a page's.
	URL    string
	Header http.Header
	Origin string
	// CAFile (PEM) is trusted for URL besides the system's authorities.
	CAFile string
	// Publish stores one event, which expires, and measures how long it takes through URL.
	Publish bool

	Timeout time.Duration // of everything; 40 s when zero
	// Waiting, if set, receives a text before a check that takes long. Run calls it from one goroutine.
	Waiting func(text string)
}

// EmbeddedOptions say how a client of this machine reaches the embedded server of a node.
type EmbeddedOptions struct {
	URL string // empty where Err is set
	Err error  // why the address is not known
	// NATS has the login of commands, which is not that of the node where OwnLogin is set. Its URL is
	// not used.
	NATS     natsconn.Options
	OwnLogin bool // the node logs in through memory, with a key that no other program has
}

// DefaultTimeout leaves room for two heartbeats of the default configuration.
const DefaultTimeout = 40 * time.Second

// doctor is one examination.
type doctor struct {
	Options
	node node // what answers at NodeURL
}

// Run examines everything, for Options.Timeout at most. Checks that wait for others run side by side.
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

// checkOutside asks NATS and the public URL at the same time: heartbeats take a while.
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
