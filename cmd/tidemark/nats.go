package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/natsconn"
)

// natsTimeout bounds what a command waits for NATS, to connect and then to answer.
const natsTimeout = 5 * time.Second

// connect reaches the NATS server of the configuration: nats.url, or the embedded one of a
// `tidemark serve` that runs. It tries once, because a person waits for the answer.
func connect(ctx context.Context, cfg config.Config) (*nats.Conn, error) {
	opts := natsOptions(cfg)
	opts.Once = true
	advice := "check nats.url, and that the server runs"
	if from := cfg.NATS.Source.Used; len(from) > 0 {
		advice = "check " + strings.Join(from, ", ") + ", and that the server runs"
	}
	if opts.URL == "" {
		addr, err := embeddedAddr(cfg)
		if err != nil {
			return nil, err
		}
		opts.URL = "nats://" + addr
		advice = "is `tidemark serve` running? (--nats.url names another server)"
	}
	ctx, cancel := context.WithTimeout(ctx, natsTimeout)
	defer cancel()
	nc, err := natsconn.Connect(ctx, opts)
	if err != nil {
		return nil, explainConnect(err, cfg.NATS, natsconn.WithoutLogin(opts.URL), advice)
	}
	return nc, nil
}

// connectJetStream is connect for the streams that the configuration describes. The caller closes the
// connection: js.Conn().Close().
func connectJetStream(ctx context.Context, cfg config.Config) (jetstream.JetStream, error) {
	nc, err := connectPrivately(ctx, cfg)
	if err != nil {
		return nil, err
	}
	js, err := jsapi.New(nc, cfg.NATS.Domain, cfg.NATS.APIPrefix)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return js, nil
}

// logNATSSource logs what the nats command's variables and contexts are used for, and which are
// ignored: which server stores the events must not change unnoticed.
func logNATSSource(logger *slog.Logger, n config.NATS) {
	if len(n.Source.Used) > 0 {
		logger.Info("NATS settings come from the nats command; no embedded server is started",
			"from", strings.Join(n.Source.Used, ", "), "url", natsconn.WithoutLogin(n.URL))
	}
	if len(n.Source.Ignored) > 0 {
		logger.Warn("variables of the nats command are ignored", "variables", strings.Join(n.Source.Ignored, ", "), "reason", n.Source.Why)
	}
}

// reachable is where this machine connects to what listens on addr. Errors do not name the key.
func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", errors.New("with port 0 serve picks one, which it prints")
	}
	if ip, err := netip.ParseAddr(cmp.Or(host, "0.0.0.0")); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// connectPrivately is connect for a command that reads. At the embedded server its answers come to inboxes of
// a random prefix where the user may have those: users of producers may read all of _INBOX.
func connectPrivately(ctx context.Context, cfg config.Config) (*nats.Conn, error) {
	if cfg.NATS.URL != "" || cfg.NATS.InboxPrefix != "" {
		return connect(ctx, cfg)
	}
	private := cfg
	private.NATS.InboxPrefix = "_INBOX_" + rand.Text()
	nc, err := connect(ctx, private)
	if err != nil || inboxesPermitted(ctx, nc) {
		return nc, err
	}
	nc.Close()
	return connect(ctx, cfg)
}

func inboxesPermitted(ctx context.Context, nc *nats.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, natsTimeout)
	defer cancel()
	nc.SetErrorHandler(nil) // the violation is no news
	sub, err := nc.SubscribeSync(nc.NewInbox() + ".*")
	if err != nil {
		return false
	}
	defer func() { _ = sub.Unsubscribe() }()
	return nc.FlushWithContext(ctx) == nil && !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}
