package natsconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Options configure a connection: its servers and its login. The zero value connects to
// nats://127.0.0.1:4222 without credentials.
type Options struct {
	// URL is one address or several, joined by commas.
	URL string
	// Name shows in the server's list of connections; "tidemark" when empty.
	Name string
	// CredsFile is a .creds file; NkeyFile holds an nkey seed.
	CredsFile, NkeyFile string
	User, Password      string
	Token               string
	// CAFile verifies the server; CertFile and KeyFile identify the client. All are PEM.
	CAFile, CertFile, KeyFile string
	// TLSFirst starts TLS before the server sends its INFO, for servers with handshake_first.
	TLSFirst bool
	// InboxPrefix begins the subjects of inboxes, to which all answers come; when empty that of
	// InProcess, else "_INBOX". It is for servers that permit a user the inboxes of one prefix alone.
	InboxPrefix string
	// InProcess, if set, reaches an embedded server through memory; URL is not used then.
	InProcess nats.Option
	// Logger receives each loss and recovery of the connection once, the causes of failed attempts, and
	// errors that NATS reports without a request, such as a missing permission; nil discards.
	Logger *slog.Logger
	// Denied, if set, is called for each missing permission, with the subject in the error. If it returns
	// true, the error is not logged. It must not block.
	Denied func(err error) (known bool)
	// Wait makes Connect block until it is connected or its context ends. Otherwise Connect returns at
	// once, and attempts continue in the background.
	Wait bool
	// Secondary is for a further connection of a process to the same servers: its first connect is logged
	// at debug, because the line of the first connection is enough.
	Secondary bool
	// Bulk is for a connection that replays read over: the answer to a ping waits behind what they have
	// requested, and may take some seconds before the server counts as lost.
	Bulk bool
	// Once makes Connect try each address once, and return the cause if all attempts fail. It then
	// blocks for two seconds an address at most, or until the deadline of its context.
	Once bool
}

// reconnectWait and its jitter let a thousand nodes return within two seconds, and not at
// one instant.
const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 1750 * time.Millisecond
)

// A server that has stopped without closing its connections is given up after three pings, in
// 1.5 s at most: the tail must be live again two seconds after a server was lost.
const (
	pingInterval = 500 * time.Millisecond
	maxPingsOut  = 2
	// bulkPingsOut is enough for 32 MiB, the default budget of replays, over a link of 8 MB/s: nats.go
	// counts pings that are not answered, whatever else arrives.
	bulkPingsOut = 9
)

// Connect returns a connection with unlimited reconnects, also before the first connect.
//
// Errors are those of the options (such as a file that cannot be read); with Wait also that of the
// context, with Once that of the attempt. While NATS is unreachable, publishing fails instead of filling
// a buffer. The caller closes the connection.
func Connect(ctx context.Context, opts Options) (*nats.Conn, error) {
	auth, err := opts.auth()
	if err != nil {
		return nil, err
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	options := append(auth, opts.tls()...)
	options = append(options, Resilience(cmp.Or(opts.Name, "tidemark"))...)
	failed := &attempts{log: log}
	options = append(options, opts.notices(log, failed)...)
	if opts.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(opts.InboxPrefix))
	}
	if opts.Bulk {
		options = append(options, nats.MaxPingsOutstanding(bulkPingsOut))
	}
	if opts.InProcess != nil {
		options = append(options, opts.InProcess)
	}
	if opts.Once {
		options = append(options, once(ctx)...)
	}
	nc, err := nats.Connect(cmp.Or(opts.URL, nats.DefaultURL), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	failed.watch(nc)
	if !nc.IsConnected() {
		// The cause is logged separately: it is known only after the next attempt.
		log.Log(ctx, opts.beginning(slog.LevelWarn), "nats: not reached; connecting in the background", "url", redacted(nc))
	}
	if opts.Wait {
		return awaitConnected(ctx, nc)
	}
	return nc, nil
}

func awaitConnected(ctx context.Context, nc *nats.Conn) (*nats.Conn, error) {
	status := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(status)
	for !nc.IsConnected() {
		select {
		case <-ctx.Done():
			err := fmt.Errorf("cannot connect to NATS: %w", errors.Join(context.Cause(ctx), LastError(nc)))
			nc.Close()
			return nil, err
		case <-status:
		case <-time.After(reconnectWait): // the listener may have come after the event
		}
	}
	return nc, nil
}

func (o Options) auth() ([]nats.Option, error) {
	var options []nats.Option
	if o.CredsFile != "" {
		options = append(options, nats.UserCredentials(o.CredsFile))
	}
	if o.NkeyFile != "" {
		nkey, err := nats.NkeyOptionFromSeed(o.NkeyFile)
		if err != nil {
			return nil, fmt.Errorf("nkey seed file %s: %w", o.NkeyFile, err)
		}
		options = append(options, nkey)
	}
	if o.User != "" {
		options = append(options, nats.UserInfo(o.User, o.Password))
	}
	if o.Token != "" {
		options = append(options, nats.Token(o.Token))
	}
	if len(options) > 1 {
		return nil, errors.New("set one of credentials file, nkey seed file, user and token")
	}
	return options, nil
}

func (o Options) tls() []nats.Option {
	var options []nats.Option
	if o.CAFile != "" {
		options = append(options, nats.RootCAs(o.CAFile))
	}
	if o.CertFile != "" || o.KeyFile != "" {
		options = append(options, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	if o.TLSFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	return options
}

// Resilience returns the reconnect options of Connect, for other callers of nats.Connect. Publishes during
// an outage are not buffered: a buffered publish looks sent, and is lost with the process.
func Resilience(name string) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOut),
		nats.IgnoreAuthErrorAbort(),
	}
}

// once makes the first connect a single attempt. A connection that is lost later still reconnects.
func once(ctx context.Context) []nats.Option {
	options := []nats.Option{nats.RetryOnFailedConnect(false)}
	if deadline, ok := ctx.Deadline(); ok {
		left := min(time.Until(deadline), nats.DefaultTimeout)
		options = append(options, nats.Timeout(max(left, time.Millisecond))) // 0 would be no limit
	}
	return options
}

// beginning returns the level of log messages about the first connect. One through memory cannot fail, so
// that its message is not worth more than debug.
func (o Options) beginning(level slog.Level) slog.Level {
	if o.Secondary || o.InProcess != nil {
		return slog.LevelDebug
	}
	return level
}

// reached returns the server's address for the log. A connection through memory has none, though
// nats.go would name its default.
func (o Options) reached(nc *nats.Conn) string {
	if o.InProcess != nil {
		return "in this process"
	}
	return nc.ConnectedUrlRedacted()
}

func (o Options) notices(log *slog.Logger, failed *attempts) []nats.Option {
	return []nats.Option{
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { failed.report(err) }),
		nats.ConnectHandler(func(nc *nats.Conn) {
			failed.connected()
			log.Log(context.Background(), o.beginning(slog.LevelInfo), "nats: connected", "url", o.reached(nc), "server", nc.ConnectedServerName())
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if nc.IsClosed() { // by us
				return
			}
			if err == nil { // closed without an error, such as by a server that is stopped
				log.Warn("nats: connection lost; reconnecting", "error", "the server closed it")
				return
			}
			log.Warn("nats: connection lost; reconnecting", "error", err)
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			failed.connected()
			log.Info("nats: reconnected", "url", o.reached(nc), "server", nc.ConnectedServerName())
		}),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			if sub == nil && !nc.IsConnected() { // of an attempt to connect
				failed.report(err)
				return
			}
			if o.Denied != nil && errors.Is(err, nats.ErrPermissionViolation) && o.Denied(err) {
				return
			}
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("nats: error without a request", "error", err, "subject", subject)
		}),
	}
}

// WithoutLogin returns a comma-separated list of server URLs without users, passwords and tokens, for
// messages. Everything up to the last @ of a URL counts as its login, since a password
// may hold a slash.
func WithoutLogin(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		scheme, rest, found := strings.Cut(strings.TrimSpace(part), "://")
		if !found {
			scheme, rest = "nats", scheme
		}
		parts[i] = scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	}
	return strings.Join(parts, ",")
}
