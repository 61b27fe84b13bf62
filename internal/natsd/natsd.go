// Package natsd runs a nats-server with JetStream inside the process.
//
// Use it for a node that needs no other programs, and in tests:
//
//	srv, err := natsd.Start(ctx, natsd.Options{Dir: "data"})
//	...
//	defer srv.Stop()
//	nc, err := nats.Connect(srv.ClientURL(), srv.InProcess())
//
// Guarantees:
//
//   - Start. Start returns a server that accepts connections and stores messages, or an error with the
//     remedy. After an error nothing is left running.
//   - Durability. An acknowledged message is on the disk, unless Options.SyncInterval is set.
//   - Exclusive use. Only one server uses a store directory. A second one fails if the system has file
//     locks. The lock file of a killed process does not prevent a start.
//   - Recovery. After a failed write, for example on a full disk, nats-server rejects all further
//     messages. This package restarts it once the store is writable again. Clients have to reconnect.
//   - Configuration. The options override the directives of a configuration file, each with a warning.
//     A listener of the file that other machines reach requires a login, unless Options.Insecure is set.
//   - Login. If clients need a login, InProcess uses its own login, which is accepted in memory only.
//   - Inboxes. Connections of InProcess use a random inbox prefix, so that users with a permission for
//     _INBOX.> cannot receive messages for the node.
//   - Stop. Stop returns after all goroutines, files and sockets of the server are closed.
//
// The server installs no signal handlers and never exits the process.
package natsd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/lifecycle"
)

// Server is an embedded nats-server. It runs until Stop.
type Server struct {
	opts Options
	log  *logger
	life *lifecycle.Group // of restartLoop, the server and the lock of its directory

	mu  sync.Mutex
	srv *server.Server // nil during a restart
	err error          // of the last restart

	login        *nodeLogin // nil if the node connects without a login, or with its own
	inboxes      string     // inbox prefix of connections of InProcess
	users        []User     // used by the next Reload
	addr         string     // bound
	needsLogin   bool
	lateAccounts bool
}

// Start starts a server and blocks until it is ready.
//
// The recovery of a large store takes time. If ctx ends during the recovery, Start still waits for its
// end, because the next recovery of an interrupted store is slower.
func Start(ctx context.Context, opts Options) (*Server, error) {
	so, err := opts.resolve(nil)
	if err != nil {
		return nil, err
	}
	life := lifecycle.New(context.WithoutCancel(ctx))
	s, err := start(ctx, life, so, opts)
	if err != nil {
		_ = life.Stop()
		return nil, err
	}
	life.Go(s.restartLoop)
	return s, nil
}

func start(ctx context.Context, life *lifecycle.Group, so *resolved, opts Options) (*Server, error) {
	dir, err := lockDir(so.StoreDir)
	if err != nil {
		return nil, err
	}
	life.OnStop(dir.release)
	if err := probeAddr(so.Options); err != nil {
		return nil, err
	}
	s := &Server{opts: opts, life: life, log: newLogger(opts.Logger), login: so.login, users: opts.Users, needsLogin: serverSecret(so), lateAccounts: operatorMode(so.Options) || so.AuthCallout != nil, inboxes: privateInboxes()}
	random := so.Port == server.RANDOM_PORT
	opts.logOverrides(so, s.log.out)
	opts.logExposure(so, s.log.out)
	if s.srv, err = run(ctx, so.Options, s.log); err != nil {
		return nil, err
	}
	life.OnStop(s.shutdown)
	s.addr = s.srv.Addr().String()
	if bound, ok := s.srv.Addr().(*net.TCPAddr); ok && random {
		s.opts.Addr = net.JoinHostPort(so.Host, strconv.Itoa(bound.Port)) // keeps the port over restarts
	}
	return s, nil
}

// run starts a server and waits until it is ready. After an error the server is stopped.
func run(ctx context.Context, so *server.Options, log *logger) (*server.Server, error) {
	srv, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: %w", err)
	}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start() // returns when the listener is open, or after a call of Fatalf
	if err := ready(ctx, srv, so, log); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, err
	}
	return srv, nil
}

func ready(ctx context.Context, srv *server.Server, so *server.Options, log *logger) error {
	if err := log.fatal(); err != nil {
		return fmt.Errorf("embedded nats-server on %s with its store in %s: %w", hostPort(so), so.StoreDir, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// Both conditions should hold at this point; the check is cheap.
	if !srv.ReadyForConnections(readyTimeout) || !srv.JetStreamEnabled() {
		return errors.New("embedded nats-server: it started without JetStream or without a listener")
	}
	return nil
}

const readyTimeout = 10 * time.Second

// probeAddr checks that the address is available, before the recovery of the store. Unlike the server's
// Fatalf, it returns a typed error.
func probeAddr(so *server.Options) error {
	if so.Port == server.RANDOM_PORT {
		return nil
	}
	l, err := net.Listen("tcp", hostPort(so))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("nats.embedded.addr: %s is in use by another program; choose another address, "+
			"or set nats.url to use the server at this address: %w", hostPort(so), err)
	}
	if err != nil {
		return fmt.Errorf("nats.embedded.addr: cannot listen on %s: %w", hostPort(so), err)
	}
	return l.Close()
}

// NeedsLogin reports whether clients require a login with a secret.
func (s *Server) NeedsLogin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.needsLogin
}

// LateAccounts reports whether accounts and users may become available after the start. This is the case
// if they come from an operator's resolver or an auth callout instead of the configuration.
func (s *Server) LateAccounts() bool { return s.lateAccounts }

// ClientURL returns the URL for NATS clients of the same machine, such as nats://127.0.0.1:4222.
// For a server on all interfaces it contains 127.0.0.1.
func (s *Server) ClientURL() string {
	if addr, err := netip.ParseAddrPort(s.addr); err == nil && addr.Addr().IsUnspecified() {
		return "nats://" + netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port()).String()
	}
	return "nats://" + s.addr
}

// InProcess returns an option for nats.Connect to connect in memory, without a socket.
//
// The option includes the login, unless Options.NodeLogin is set. nats.Connect ignores its URL. Replies
// and deliveries use a random prefix instead of _INBOX, unless an earlier option sets a prefix.
func (s *Server) InProcess() nats.Option {
	return func(o *nats.Options) error {
		o.InboxPrefix = cmp.Or(o.InboxPrefix, s.inboxes)
		if s.login != nil {
			if err := s.login.option()(o); err != nil {
				return err
			}
		}
		return nats.InProcessServer(s)(o)
	}
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return nil, errors.New("the embedded nats-server is restarting")
	}
	conn, err := s.srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	return newInProcessConn(conn), nil
}

// Stop stops the server, waits until it has stopped, and releases the store directory. The connections of
// clients are closed. Further calls wait for the first.
func (s *Server) Stop() { _ = s.life.Stop() }

// lockDir creates dir if necessary, and locks it.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, storeDirError(dir, err)
	}
	lock, err := acquire(dir)
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("nats.embedded.dir: another process stores its data in %s; stop it or choose another directory", dir)
	}
	if err != nil {
		return nil, storeDirError(dir, err)
	}
	return lock, nil
}
