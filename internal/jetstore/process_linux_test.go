package jetstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
)

// node is a nats-server in a process of its own, so that it can be killed and stopped.
type node struct {
	name    string
	url     string
	monitor string
	config  string
	cmd     *exec.Cmd
}

func (n *node) start(t testing.TB) {
	t.Helper()
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), serverConfig+"="+n.config)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (n *node) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(sig); err != nil {
		t.Error(err)
	}
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill() // a stopped process, too
	_ = n.cmd.Wait()
}

// jsz is the state of JetStream in one server, without its leaders.
type jsz struct {
	Meta struct {
		Leader string `json:"leader"`
	} `json:"meta_cluster"`
	Accounts []struct {
		Streams []struct {
			State struct {
				LastSeq uint64 `json:"last_seq"`
			} `json:"state"`
		} `json:"stream_detail"`
	} `json:"account_details"`
}

func (n *node) jsz() (state jsz, err error) {
	resp, err := http.Get(n.monitor + "/jsz?streams=true")
	if err != nil {
		return state, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, &state)
	}
	return state, err
}

// last is the last sequence that the server itself has of its only stream.
func (n *node) last() (seq uint64) {
	state, err := n.jsz()
	if err != nil {
		return 0
	}
	for _, account := range state.Accounts {
		for _, stream := range account.Streams {
			seq = max(seq, stream.State.LastSeq)
		}
	}
	return seq
}

// processes is a cluster of three nodes with a stream on all of them. Each two are connected
// by a link of their own, and in no other way.
type processes struct {
	*harness
	nodes []*node
	links map[[2]int]*slowLink // by the lower and the higher number
	urls  string
}

func newProcesses(t *testing.T) *processes {
	t.Helper()
	p := &processes{harness: &harness{&natstest.Harness{T: t}}, links: map[[2]int]*slowLink{}}
	ports := natstest.FreePorts(t, 9)
	for _, pair := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
		p.links[pair] = newSlowLink(t, fmt.Sprintf("127.0.0.1:%d", ports[3+pair[0]]))
	}
	var urls []string
	for i := range 3 {
		p.nodes = append(p.nodes, p.newNode(i, ports[i], ports[3+i], ports[6+i]))
		urls = append(urls, p.nodes[i].url)
	}
	p.urls = strings.Join(urls, ",")
	p.use(p.urls)
	p.Await("the cluster takes streams", func() bool {
		ctx, cancel := context.WithTimeout(p.Ctx(), 500*time.Millisecond)
		defer cancel()
		_, err := p.JS.CreateStream(ctx, jetstream.StreamConfig{Name: natstest.StreamName, Subjects: []string{"notifications.>"}, Replicas: 3})
		return err == nil
	})
	p.awaitCurrent()
	return p
}

// use connects the test itself.
func (p *processes) use(urls string) {
	p.T.Helper()
	p.Conn = natstest.Connect(p.T, natsconn.Options{URL: urls})
	var err error
	if p.JS, err = jetstream.New(p.Conn); err != nil {
		p.T.Fatal(err)
	}
}

func (p *processes) newNode(i, client, route, monitor int) *node {
	p.T.Helper()
	var routes []string
	for pair, link := range p.links {
		if pair[1] == i {
			routes = append(routes, fmt.Sprintf("%q", "nats://"+link.addr()))
		}
	}
	for port := 1; len(routes) < 2; port++ { // a server counts its routes to know how many they are
		routes = append(routes, fmt.Sprintf("%q", fmt.Sprint("nats://127.0.0.1:", port)))
	}
	dir := p.T.TempDir()
	n := &node{
		name: fmt.Sprint("node-", i), url: fmt.Sprintf("nats://127.0.0.1:%d", client),
		monitor: fmt.Sprintf("http://127.0.0.1:%d", monitor), config: filepath.Join(dir, "server.conf"),
	}
	// The addresses that servers announce to each other lead nowhere: the servers use the links only.
	config := fmt.Sprintf(`
		server_name: %s, listen: "127.0.0.1:%d", http: "127.0.0.1:%d"
		jetstream { store_dir: %q }
		cluster { name: c, listen: "127.0.0.1:%d", advertise: "127.0.0.1:1", no_advertise: true, routes: [%s] }
	`, n.name, client, monitor, dir, route, strings.Join(routes, ", "))
	if err := os.WriteFile(n.config, []byte(config), 0o600); err != nil {
		p.T.Fatal(err)
	}
	n.start(p.T)
	p.T.Cleanup(n.kill)
	return n
}

// awaitCurrent waits until the stream has a leader and both followers are level with it.
func (p *processes) awaitCurrent() {
	p.T.Helper()
	p.Await("the replicas are current", func() bool {
		info := p.info()
		return info != nil && natstest.ReplicasCurrent(info.Cluster)
	})
}

func (p *processes) info() *jetstream.StreamInfo {
	ctx, cancel := context.WithTimeout(p.Ctx(), time.Second)
	defer cancel()
	stream, err := p.JS.Stream(ctx, natstest.StreamName)
	if err != nil {
		return nil
	}
	return stream.CachedInfo()
}

func (p *processes) index(name string) int {
	for i, n := range p.nodes {
		if n.name == name {
			return i
		}
	}
	return -1
}

// leader is the number of the node that leads the stream.
func (p *processes) leader() int {
	p.T.Helper()
	leader := -1
	p.Await("the stream has a leader", func() bool {
		if info := p.info(); info != nil && info.Cluster != nil {
			leader = p.index(info.Cluster.Leader)
		}
		return leader >= 0
	})
	return leader
}

// metaLeader is the number of the node that places consumers.
func (p *processes) metaLeader() int {
	p.T.Helper()
	leader := -1
	p.Await("the cluster has a leader", func() bool {
		for _, n := range p.nodes {
			if state, err := n.jsz(); err == nil {
				leader = max(leader, p.index(state.Meta.Leader))
			}
		}
		return leader >= 0
	})
	return leader
}

// leadElsewhere makes another node than that one lead the stream, and returns it.
func (p *processes) leadElsewhere(than int) (leader int) {
	p.T.Helper()
	p.Await("another node leads the stream", func() bool {
		if leader = p.leader(); leader != than {
			return true
		}
		_, _ = p.Conn.Request("$JS.API.STREAM.LEADER.STEPDOWN."+natstest.StreamName, nil, time.Second)
		return false
	})
	p.awaitCurrent()
	return leader
}

// delay slows what goes from one node to another.
func (p *processes) delay(from, to int, d time.Duration) {
	if from < to {
		p.links[[2]int{from, to}].fromServer.Store(int64(d))
		return
	}
	p.links[[2]int{to, from}].toServer.Store(int64(d))
}

// hosts are the numbers of the nodes that consumers sit on, by the consumers' names.
func (p *processes) hosts(prefix string) map[string]int {
	ctx, cancel := context.WithTimeout(p.Ctx(), 2*time.Second)
	defer cancel()
	hosts := map[string]int{}
	stream, err := p.JS.Stream(ctx, natstest.StreamName)
	if err != nil {
		return nil
	}
	for info := range stream.ListConsumers(ctx).Info() {
		if info.Cluster != nil && strings.HasPrefix(info.Name, prefix) {
			hosts[info.Name] = p.index(info.Cluster.Leader)
		}
	}
	return hosts
}

// tail is the latest consumer of a tail, and the number of its node: those whose node went may
// still be listed.
func (p *processes) tail() (name string, host int) {
	p.T.Helper()
	p.Await("the tail has a consumer", func() bool {
		latest := -1
		for candidate, h := range p.hosts("tidemark-tail-") {
			if n, err := strconv.Atoi(candidate[strings.LastIndexByte(candidate, '-')+1:]); err == nil && n > latest {
				latest, name, host = n, candidate, h
			}
		}
		return latest >= 0 && host >= 0
	})
	return name, host
}

func (p *processes) tailHost() int {
	p.T.Helper()
	_, host := p.tail()
	return host
}
