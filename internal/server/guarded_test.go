package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/server"
)

// The users of the configuration in docs/operate/nats-permissions.md.
const (
	userFull      = "tidemark"
	userProvision = "tidemark-provision"
	userRead      = "tidemark-read"
	userPresence  = "tidemark-presence"
	userProducer  = "producer"
	userOperator  = "operator"
)

// guarded is a NATS server that runs the configuration of docs/operate/nats-permissions.md.
type guarded struct {
	t         *testing.T
	addr, dir string
	conf      string
	change    func(user string, p *natsserver.Permissions) // changes the configuration
	stop      func()

	mu         sync.Mutex
	violations []string // permission errors of the server and the node
}

func startGuarded(t *testing.T, change func(user string, p *natsserver.Permissions)) *guarded {
	t.Helper()
	g := &guarded{t: t, addr: freeAddr(t), dir: t.TempDir(), conf: documented(t), change: change}
	g.start()
	t.Cleanup(func() { g.stop() })
	return g
}

// documented writes the only configuration in docs/operate/nats-permissions.md to a file.
func documented(t *testing.T) (file string) {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate", "nats-permissions.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```conf\n(.*?)^```$").FindAllSubmatch(doc, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/operate/nats-permissions.md has %d blocks of configuration, want one", len(blocks))
	}
	for _, name := range regexp.MustCompile(`\$(\w+_PASSWORD)`).FindAllSubmatch(blocks[0][1], -1) {
		t.Setenv(string(name[1]), "secret")
	}
	file = filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, blocks[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// config reads the configuration, and changes only the addresses and the directory of the server.
func (g *guarded) config() *natsserver.Options {
	g.t.Helper()
	opts, err := natsserver.ProcessConfigFile(g.conf)
	if err != nil {
		g.t.Fatal(err)
	}
	host, port, _ := strings.Cut(g.addr, ":")
	opts.Host, opts.StoreDir, opts.NoSigs = host, g.dir, true
	_, _ = fmt.Sscan(port, &opts.Port)
	for _, user := range opts.Users {
		if g.change != nil && user.Permissions != nil {
			g.change(user.Username, user.Permissions)
		}
	}
	return opts
}

func (g *guarded) start() {
	g.t.Helper()
	srv, err := natsserver.NewServer(g.config())
	if err != nil {
		g.t.Fatal(err)
	}
	srv.SetLoggerV2(serverLog{g}, false, false, false)
	srv.Start()
	g.stop = sync.OnceFunc(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		g.stop()
		g.t.Fatal("the NATS server is not ready")
	}
}

func (g *guarded) url(user string) string { return "nats://" + user + ":secret@" + g.addr }

// dial connects as a user. The test, and not the node, receives the connection's permission errors.
func (g *guarded) dial(user string, options ...nats.Option) *nats.Conn {
	g.t.Helper()
	nc, err := nats.Connect(g.url(user), options...)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(nc.Close)
	return nc
}

// node starts a node as a user, and a harness whose own connection is the operator's. The feed "replayed" reads
// the stream for every resume.
func (g *guarded) node(user string, change func(*server.Options)) *harness {
	g.t.Helper()
	opts := options(g.t, "nats://"+g.addr)
	opts.NATS.User, opts.NATS.Password = user, "secret"
	opts.NATS.Logger = slog.New(nodeLog{opts.Logger.Handler(), g})
	replayed := opts.Feeds[0]
	replayed.Name, replayed.Paths, replayed.ReplayFromStore = "replayed", []string{"/replayed"}, true
	opts.Feeds = append(opts.Feeds, replayed)
	if change != nil {
		change(&opts)
	}
	r := startNode(g.t, opts)
	r.dir = g.dir
	r.connect(g.url(userOperator))
	return r
}

func (g *guarded) violated(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.violations = append(g.violations, what)
}

func (g *guarded) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.violations)
}

func (g *guarded) wantNoViolation() {
	g.t.Helper()
	for _, v := range g.seen() {
		g.t.Errorf("beyond the documented permissions: %s", v)
	}
}

// serverLog receives every violation from the server.
type serverLog struct{ g *guarded }

func (l serverLog) Errorf(format string, v ...any) {
	if text := fmt.Sprintf(format, v...); strings.Contains(text, "Violation") {
		l.g.violated(text)
	}
}

func (l serverLog) Fatalf(format string, v ...any) { l.g.violated(fmt.Sprintf(format, v...)) }

func (serverLog) Noticef(string, ...any) {}

func (serverLog) Warnf(string, ...any) {}

func (serverLog) Debugf(string, ...any) {}

func (serverLog) Tracef(string, ...any) {}

// nodeLog receives asynchronous errors of the node's NATS connections.
type nodeLog struct {
	slog.Handler
	g *guarded
}

func (l nodeLog) Handle(ctx context.Context, rec slog.Record) error {
	rec.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && errors.Is(err, nats.ErrPermissionViolation) {
			l.g.violated(rec.Message + ": " + err.Error())
		}
		return true
	})
	return l.Handler.Handle(ctx, rec)
}

func (g *guarded) permissions(user string) *natsserver.Permissions {
	g.t.Helper()
	for _, u := range g.config().Users {
		if u.Username == user {
			return u.Permissions
		}
	}
	g.t.Fatalf("docs/operate/nats-permissions.md has no user %s", user)
	return nil
}
