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

// Options configures a topology. Only Dir is required.
type Options struct {
	// Dir is the directory for all files of the processes: streams, logs, certificates. Files of an
	// earlier topology are reused.
	Dir string
	// Root is the checkout with the configuration files; if it is empty, it is searched upwards from the
	// working directory.
	Root string
	// NATS is the number of NATS servers, 2 to 5 (a single server elects no leader). Nodes is the number
	// of Tidemark nodes. 0 means 3.
	NATS, Nodes int
	// Nginx starts nginx as a proxy for the nodes.
	Nginx bool
	// NginxLogin contains the directives that set the user (FRONT_LOGIN); config/nginx/try-user.conf if
	// empty.
	NginxLogin string
	// Binaries contains the programs to start.
	Binaries Binaries
	// Ports contains the ports; 0 selects free ports.
	Ports Ports
	// NodeConfig returns the configuration file of node i (from 0); nil means config/cluster.yaml.
	NodeConfig func(i int) string
	// NodeEnv returns additional variables of node i, as NAME=value. They override the file.
	NodeEnv func(i int) []string
	// NATSURL returns nats.url of node i, for connections through proxies; nil means all servers.
	NATSURL func(i int, servers []*NATSServer) string
	// Died is called for each process that ends unexpectedly, with its result. It runs in the goroutine
	// that has waited for the process, and may start the process again. It must return when the topology
	// stops. If it is nil, the end is only logged.
	Died func(p *Process, status string)
	// Logger receives messages about starts and ends; nil discards.
	Logger *slog.Logger
}

// Binaries contains the paths of programs. Build creates the first two.
type Binaries struct {
	Tidemark   string // required
	NATSServer string // required
	Nginx      string // searched in PATH and /usr/sbin if empty
}

// Ports contains the first of consecutive ports for each kind of process, on 127.0.0.1. 0 selects free
// ports. These are not consecutive.
type Ports struct {
	NATS, Monitor, Cluster int // of the NATS servers: clients, monitoring, routes
	Nodes                  int
	HTTP, HTTPS            int // of nginx
}

// ErrNoNginx means that nginx was not found.
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

// Root searches the checkout of this module, upwards from the working directory.
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

// LookNginx searches nginx, also in the directories of root in Debian. It returns ErrNoNginx if there is
// none.
func LookNginx() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoNginx
}
