package testcluster

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Options say what to start. Dir is needed; the zero value of everything else works.
type Options struct {
	// Dir holds everything that the processes write: streams, logs, certificates. What an
	// earlier topology left there is used again.
	Dir string
	// Root is the checkout with the configuration files; found from the working directory
	// upwards when empty.
	Root string
	// NATS is the number of NATS servers, 2 to 5 (one alone elects no leader), and Nodes that of
	// Tidemark nodes; 3 each when 0.
	NATS, Nodes int
	// Nginx starts nginx in front of the nodes.
	Nginx bool
	// NginxLogin are the directives that name the user (FRONT_LOGIN); config/nginx/try-user.conf when empty.
	NginxLogin string
	// Binaries are what is started.
	Binaries Binaries
	// Ports are picked freely where they are 0.
	Ports Ports
	// NodeConfig is the configuration file of node i (from 0); config/cluster.yaml for all when
	// nil.
	NodeConfig func(i int) string
	// NodeEnv are further variables of node i, as NAME=value. They beat the file.
	NodeEnv func(i int) []string
	// NATSURL is nats.url of node i, to send it to the servers through proxies; all servers when
	// nil.
	NATSURL func(i int, servers []*NATSServer) string
	// Died is told of each process that ends though nobody asked it to, with how it ended. It
	// runs on the goroutine that waited for the process, and may start it again; it must return
	// when the topology stops. nil only logs.
	Died func(p *Process, status string)
	// Logger hears of starts and deaths; nil discards.
	Logger *slog.Logger
}

// Binaries are paths of programs. Build makes the first two.
type Binaries struct {
	Tidemark   string // needed
	NATSServer string // needed
	Nginx      string // looked up in PATH and /usr/sbin when empty
}

// Ports are the first of consecutive ports for each kind of process, on 127.0.0.1; 0 picks
// free ones, not consecutive.
type Ports struct {
	NATS, Monitor, Cluster int // of the NATS servers: clients, monitoring, routes
	Nodes                  int
	HTTP, HTTPS            int // of nginx
}

// ErrNoNginx says that there is no nginx to start.
var ErrNoNginx = errors.New("nginx is not found; install it (apt-get install nginx), or name it in Binaries.Nginx")

func (o *Options) complete() error {
	o.NATS, o.Nodes = cmp.Or(o.NATS, 3), cmp.Or(o.Nodes, 3)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Dir == "" || o.Binaries.Tidemark == "" || o.Binaries.NATSServer == "" {
		return errors.New("topology: Dir, Binaries.Tidemark and Binaries.NATSServer are needed")
	}
	if o.NATS < 2 || o.NATS > 5 || o.Nodes < 1 {
		return fmt.Errorf("topology: %d NATS servers and %d nodes; there can be 2 to 5, and 1 or more", o.NATS, o.Nodes)
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if o.Root == "" {
		if o.Root, err = Root(); err != nil {
			return err
		}
	}
	if o.Nginx && o.Binaries.Nginx == "" {
		o.Binaries.Nginx, err = LookNginx()
	}
	return err
}

// Root finds the checkout of this module, from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/tidemark/tidemark\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("topology: the working directory is not within a checkout of Tidemark; name it in Root")
		}
		dir = parent
	}
}

// LookNginx finds nginx, also where Debian keeps it from users who are not root. The error is
// ErrNoNginx.
func LookNginx() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoNginx
}
