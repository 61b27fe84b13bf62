// Package natsd runs a nats-server with JetStream inside the process, for a Tidemark that
// needs no other program.
//
// Guarantees:
//   - Start returns a server that takes connections and stores messages, or an error that
//     names what to change; nothing of a failed start is left running.
//   - Unless Options.SyncInterval says otherwise, an acknowledged message is on the disk.
//   - One store directory is used by one server at a time; a second one is refused where
//     the system has file locks, also when the first was killed and its lock file is there.
//   - A store that could not be written, as the disk was full, goes on by itself once it can
//     be: the server, which would refuse all further messages, is started anew then. Clients
//     see their connection closed, and reconnect.
//   - A configuration file of nats-server is loaded first, and the options override it, each with a
//     warning. No listener of it that other machines reach is open without a login, unless
//     Options.Insecure is set.
//   - Where clients need a login, InProcess has one of its own, which works through memory alone.
//   - Connections of InProcess have inboxes of a random prefix: users who may subscribe to _INBOX.> do not
//     receive what is sent to the node.
//   - Stop returns when every goroutine, file and socket of the server is gone.
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
)

// Server is an embedded nats-server that is running, or was until Stop.
type Server struct {
	opts    Options
	dir     *dirLock
	log     *logger
	stop    sync.Once
	stopped context.CancelFunc
	restarting sync.WaitGroup

	mu  sync.Mutex
	srv *server.Server // nil while it is started anew
	err error          // of the last attempt at that

	login        *nodeLogin // nil where the node connects without one, or with its own
	inboxes      string     // begins those of connections of InProcess
	users        []User     // for the next Reload
	addr         string     // bound
	needsLogin   bool
	lateAccounts bool
}

// Start runs a server and blocks until it is ready. The recovery of a large store takes a
// while: when ctx ends meanwhile, Start still waits for the end of it, since a store that
// is shut down in the middle of its recovery recovers more slowly the next time.
func Start(ctx context.Context, opts Options) (*Server, error) {
	so, err := opts.resolve(nil)
	if err != nil {
		return nil, err
	}
	dir, err := lockDir(so.StoreDir)
	if err != nil {
		return nil, err
	}
	if err := probeAddr(so.Options); err != nil {
		dir.release()
		return nil, err
	}
	s := &Server{opts: opts, dir: dir, log: newLogger(opts.Logger), login: so.login, users: opts.Users, needsLogin: serverSecret(so), lateAccounts: operatorMode(so.Options) || so.AuthCallout != nil, inboxes: privateInboxes()}
	random := so.Port == server.RANDOM_PORT
	opts.logOverrides(so, s.log.out)
	opts.logExposure(so, s.log.out)
	if s.srv, err = run(ctx, so.Options, s.log); err != nil {
		dir.release()
		return nil, err
	}
	s.addr = s.srv.Addr().String()
	if bound, ok := s.srv.Addr().(*net.TCPAddr); ok && random {
		s.opts.Addr = net.JoinHostPort(so.Host, strconv.Itoa(bound.Port)) // also after it was started anew
	}
	ctx, s.stopped = context.WithCancel(context.WithoutCancel(ctx))
	s.restarting.Go(func() { s.restartLoop(ctx) })
	return s, nil
}

// run returns with a server that is ready, or with none.
func run(ctx context.Context, so *server.Options, log *logger) (*server.Server, error) {
	srv, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: %w", err)
	}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start() // returns with the listener open, or after a Fatalf
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
	// Both hold by now; the server's own word for it costs nothing.
	if !srv.ReadyForConnections(readyTimeout) || !srv.JetStreamEnabled() {
		return errors.New("embedded nats-server: it started without JetStream or without a listener")
	}
	return nil
}

const readyTimeout = 10 * time.Second

// probeAddr finds an address that cannot be had before the store is recovered, and as a
// typed error, which the server's own Fatalf is not.
func probeAddr(so *server.Options) error {
	if so.Port == server.RANDOM_PORT {
		return nil
	}
	l, err := net.Listen("tcp", hostPort(so))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("nats.embedded.addr: %s is taken by another program; choose another address, "+
			"or set nats.url to use the server that runs there: %w", hostPort(so), err)
	}
	if err != nil {
		return fmt.Errorf("nats.embedded.addr: cannot listen on %s: %w", hostPort(so), err)
	}
	return l.Close()
}

// NeedsLogin reports whether clients need a login with a secret.
func (s *Server) NeedsLogin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.needsLogin
}

// LateAccounts reports whether accounts and users come from elsewhere than the configuration: from
// the resolver of an operator, or from an auth callout. They may come after the start.
func (s *Server) LateAccounts() bool { return s.lateAccounts }

// ClientURL is where NATS clients of the same machine connect, such as
// nats://127.0.0.1:4222. A server on all interfaces is reached at 127.0.0.1.
func (s *Server) ClientURL() string {
	if addr, err := netip.ParseAddrPort(s.addr); err == nil && addr.Addr().IsUnspecified() {
		return "nats://" + netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port()).String()
	}
	return "nats://" + s.addr
}

// InProcess makes nats.Connect reach this server through memory instead of a socket, and log in
// unless Options.NodeLogin is set. The URL given to nats.Connect is not used then. Answers and
// deliveries come to a random prefix in place of _INBOX, unless an option before this one sets a prefix.
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
		return nil, errors.New("the embedded nats-server is being started anew")
	}
	conn, err := s.srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	return newInProcessConn(conn), nil
}

// Stop ends the server, blocks until it has ended, and frees the store directory. Clients
// see their connection closed. Further calls wait for the first.
func (s *Server) Stop() {
	s.stop.Do(func() {
		s.stopped()
		s.restarting.Wait()
		s.shutdown()
		s.dir.release()
	})
}

// lockDir makes sure that dir exists, can be written to, and is nobody else's.
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
