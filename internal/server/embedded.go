package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
)

// startNATS starts the embedded server unless the options name another server.
func (s *Server) startNATS(ctx context.Context) (err error) {
	if s.opts.NATS.URL != "" {
		return nil
	}
	login := s.opts.NATS
	s.opts.Embedded.NodeLogin = login.CredsFile != "" || login.NkeyFile != "" || login.User != "" || login.Token != ""
	if s.nats.embedded, err = natsd.Start(ctx, s.opts.Embedded); err != nil {
		return err
	}
	s.life.OnStop(s.nats.embedded.Stop)
	s.opts.NATS.InProcess = s.nats.embedded.InProcess()
	if s.opts.Embedded.NodeLogin && login.InboxPrefix == "" && !s.privateInboxes(ctx) {
		s.opts.NATS.InboxPrefix = "_INBOX"
		s.opts.Logger.Warn("nats: the node may not use private inboxes; users of its account with permission for _INBOX.> can read all events",
			"remedy", "set nats.inbox_prefix to a prefix that only the node may subscribe to")
	}
	if s.opts.Embedded.ConfigFile == "" {
		return nil
	}
	return s.checkEmbedded(ctx)
}

// ownsStore reports whether the embedded server has the streams. A leaf node has them elsewhere.
func (o *Options) ownsStore() bool {
	return o.NATS.URL == "" && o.Domain == "" && o.APIPrefix == ""
}

// embeddedTimeout bounds the check of the login. The server is in this process.
const embeddedTimeout = 5 * time.Second

// checkEmbedded returns an error if the file of nats.embedded.config has no login for the node, or no JetStream in
// its account. The node would otherwise wait for both without an end. Accounts of other sources may be added while
// the server runs, so the node only logs the error there.
func (s *Server) checkEmbedded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, embeddedTimeout)
	defer cancel()
	err := s.tryEmbedded(ctx)
	if err == nil {
		return nil
	}
	if s.nats.embedded.LateAccounts() {
		s.opts.Logger.Error("nats: the embedded server does not serve the node yet; retrying", "error", err)
		return nil
	}
	return err
}

func (s *Server) tryEmbedded(ctx context.Context) error {
	opts := s.opts.NATS
	opts.Once, opts.Logger, opts.Denied = true, nil, nil
	nc, err := natsconn.Connect(ctx, opts)
	if err != nil {
		return fmt.Errorf("nats.embedded.config: the server refuses the login of the node (%s): %w", loginKey(opts), err)
	}
	defer nc.Close()
	if !s.opts.ownsStore() {
		return nil // the leaf node may not be connected yet
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	// The parts of the node report other errors, such as a missing permission for this request.
	_, err = js.AccountInfo(ctx)
	if errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("nats.embedded.config: the account of the node (%s) has no JetStream; add `jetstream: enabled` to it, or give the account of an operator JetStream limits: %w", loginKey(opts), err)
	}
	return nil
}

// privateInboxes reports whether the login of the node permits the random inbox prefix of
// [natsd.Server.InProcess]. The permissions of a login of the embedded server have no limits. A login of the
// node's own may permit _INBOX alone.
func (s *Server) privateInboxes(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, embeddedTimeout)
	defer cancel()
	opts := s.opts.NATS
	opts.Once, opts.Logger = true, nil
	opts.Denied = func(error) bool { return true }
	nc, err := natsconn.Connect(ctx, opts)
	if err != nil {
		return false
	}
	defer nc.Close()
	if _, err := nc.SubscribeSync(nc.NewInbox() + ".*"); err != nil {
		return false
	}
	return nc.FlushWithContext(ctx) == nil && !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}

// loginKey returns the configuration key of the node's login at its embedded server.
func loginKey(o natsconn.Options) string {
	switch {
	case o.CredsFile != "":
		return "nats.credentials"
	case o.NkeyFile != "":
		return "nats.nkey"
	case o.User != "":
		return "nats.user"
	case o.Token != "":
		return "nats.token"
	}
	return "nats.embedded.account"
}

// SetEmbeddedUsers sets the users of the embedded server for the next Reload. It does nothing without an embedded
// server.
func (s *Server) SetEmbeddedUsers(users []natsd.User) {
	if s.nats.embedded != nil {
		s.nats.embedded.SetUsers(users)
	}
}
