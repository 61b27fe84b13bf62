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
	"github.com/tidemark/tidemark/internal/natserr"
)

// natsTimeout bounds the wait of a command for NATS, to connect and then to respond.
const natsTimeout = 5 * time.Second

// connect connects to the NATS server of the configuration: nats.url, or the embedded server of a running
// `tidemark serve`. It tries once, because a person waits for the result.
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
		return nil, natserr.ExplainConnect(err, natsconn.WithoutLogin(opts.URL), cfg.NATS.LoginAdvice(), advice)
	}
	return nc, nil
}

// connectJetStream connects to the JetStream of the configuration. The caller closes the connection:
// js.Conn().Close().
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

// logNATSSource logs which variables and contexts of the nats command are used and which are ignored, because
// they decide which server stores the events.
func logNATSSource(logger *slog.Logger, n config.NATS) {
	if len(n.Source.Used) > 0 {
		logger.Info("nats settings come from the nats command; no embedded server is started",
			"from", strings.Join(n.Source.Used, ", "), "url", natsconn.WithoutLogin(n.URL))
	}
	if len(n.Source.Ignored) > 0 {
		logger.Warn("nats: variables of the nats command are ignored", "variables", strings.Join(n.Source.Ignored, ", "), "reason", n.Source.Why)
	}
}

// reachable returns the address at which this machine connects to a listener on addr. Errors do not name the
// key.
func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", errors.New("with port 0 serve chooses a port, which it prints")
	}
	if ip, err := netip.ParseAddr(cmp.Or(host, "0.0.0.0")); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// connectPrivately is connect for a command that reads. At the embedded server its replies use inboxes with a
// random prefix if the user may have those: users for producers may read all of _INBOX.
func connectPrivately(ctx context.Context, cfg config.Config) (*nats.Conn, error) {
	if cfg.NATS.URL != "" || cfg.NATS.InboxPrefix != "" {
		return connect(ctx, cfg)
	}
	private := cfg
	private.NATS.InboxPrefix = "_INBOX_" + rand.Text()
	nc, err := connect(ctx, private)
	if err != nil || natserr.InboxesPermitted(ctx, nc) {
		return nc, err
	}
	nc.Close()
	return connect(ctx, cfg)
}
