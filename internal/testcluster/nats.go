package testcluster

import (
	"fmt"
	"path/filepath"
	"strings"
)

// NATSServer is one server of the cluster.
type NATSServer struct {
	*Process
	ClientURL  string // nats://
	MonitorURL string // http://, with /healthz, /jsz and so on
	Dir        string // of its streams
}

func (t *Topology) addNATS() error {
	p := t.opts.Ports
	var ports [3][]int
	for i, first := range []int{p.NATS, p.Monitor, p.Cluster} {
		var err error
		if ports[i], err = series(first, t.opts.NATS); err != nil {
			return err
		}
	}
	clients, monitors, routes := ports[0], ports[1], ports[2]
	quoted := make([]string, len(routes))
	for i, port := range routes {
		quoted[i] = fmt.Sprintf("%q", "nats://"+local(port))
	}
	for i := range t.opts.NATS {
		name := fmt.Sprintf("n%d", i+1)
		s := &NATSServer{
			ClientURL: "nats://" + local(clients[i]), MonitorURL: "http://" + local(monitors[i]), Dir: filepath.Join(t.opts.Dir, name),
		}
		s.Process = t.process(name, t.opts.Binaries.NATSServer, "-c", filepath.Join(t.opts.Root, "config/nats/nats.conf"))
		s.env = []string{
			"NATS_NAME=" + name, "NATS_HOST=" + host, fmt.Sprintf("NATS_PORT=%d", clients[i]),
			fmt.Sprintf("NATS_MONITOR_PORT=%d", monitors[i]), fmt.Sprintf("NATS_CLUSTER_PORT=%d", routes[i]),
			"NATS_ROUTES=[" + strings.Join(quoted, ", ") + "]", fmt.Sprintf("NATS_STORE=%q", s.Dir),
		}
		t.NATS = append(t.NATS, s)
	}
	return nil
}

// NATSURL returns the URLs of all servers, in the form of nats.url.
func (t *Topology) NATSURL() string {
	urls := make([]string, len(t.NATS))
	for i, s := range t.NATS {
		urls[i] = s.ClientURL
	}
	return strings.Join(urls, ",")
}
