package testcluster

import (
	"fmt"
	"path/filepath"
)

// Node is a process of `tidemark serve`.
type Node struct {
	*Process
	URL string // http://127.0.0.1:port, without nginx
}

// addNodes adds nodes like those in containers. As they listen on loopback, they accept ?user= (dev), and
// /publish needs no key. They have no admin listener, as all would use the same address: each node serves
// /metrics at its URL.
func (t *Topology) addNodes() error {
	ports, err := series(t.opts.Ports.Nodes, t.opts.Nodes)
	if err != nil {
		return err
	}
	for i, port := range ports {
		name := fmt.Sprintf("t%d", i+1)
		config := filepath.Join(t.opts.Root, "config/cluster.yaml")
		if t.opts.NodeConfig != nil {
			config = t.opts.NodeConfig(i)
		}
		url := t.NATSURL()
		if t.opts.NATSURL != nil {
			url = t.opts.NATSURL(i, t.NATS)
		}
		n := &Node{Process: t.process(name, t.opts.Binaries.Tidemark, "serve", "--config", config), URL: "http://" + local(port)}
		n.env = []string{
			"TIDEMARK_HTTP_ADDR=" + local(port), "TIDEMARK_ADMIN_ADDR=off", "TIDEMARK_HTTP_DRAIN_DELAY=0s", "TIDEMARK_HTTP_TRUSTED_PROXIES=" + host,
			"TIDEMARK_AUTH_HEADER_TRUSTED=" + host, "TIDEMARK_AUTH_HEADER_ENCODING=percent", // nginx passes on ?user= unchanged
			"TIDEMARK_NATS_URL=" + url, "TIDEMARK_NATS_NAME=" + name,
			"TIDEMARK_DEV=true", "TIDEMARK_AUTH_IDENTITY=header,dev,anonymous", fmt.Sprintf("TIDEMARK_STREAMS_REPLICAS=%d", t.opts.NATS),
		}
		if t.opts.NodeEnv != nil {
			n.env = append(n.env, t.opts.NodeEnv(i)...)
		}
		t.Nodes = append(t.Nodes, n)
	}
	return nil
}
