package testcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// grace is the time that Stop waits for a process after SIGTERM. A node closes its connections and waits
// for requests within http.shutdown_timeout, 10 s by default.
const grace = 15 * time.Second

// Topology is a set of related processes. Do not change NATS, Nodes and Nginx.
type Topology struct {
	NATS  []*NATSServer
	Nodes []*Node
	Nginx *Nginx // nil unless Options.Nginx

	opts Options
	stop sync.Once

	mu     sync.Mutex
	deaths []error
}

// Start starts all processes. It does not wait until they are ready; see Ready.
//
// It returns errors about options, files and ports, and ErrNoNginx. After an error, or if ctx ends during
// the call, it stops the started processes. After its return ctx has no effect.
func Start(ctx context.Context, opts Options) (*Topology, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	t := &Topology{opts: opts}
	if err := t.plan(ctx); err != nil {
		return nil, err
	}
	for _, p := range t.Processes() {
		err := ctx.Err()
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			return nil, errors.Join(err, t.Stop())
		}
	}
	return t, nil
}

// plan defines each process, and writes its files.
func (t *Topology) plan(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(t.opts.Dir, "log"), 0o750); err != nil {
		return err
	}
	if err := t.addNATS(); err != nil {
		return err
	}
	if err := t.addNodes(); err != nil {
		return err
	}
	if t.opts.Nginx {
		return t.addNginx(ctx)
	}
	return nil
}

func (t *Topology) process(name, path string, args ...string) *Process {
	return &Process{
		name: name, path: path, args: args, dir: t.opts.Dir, log: filepath.Join(t.opts.Dir, "log", name+".log"),
		died: t.died, logger: t.opts.Logger,
	}
}

func (t *Topology) died(p *Process, status string) {
	t.mu.Lock()
	t.deaths = append(t.deaths, fmt.Errorf("%s has died: %s; see %s", p.name, status, p.log))
	t.mu.Unlock()
	if t.opts.Died != nil {
		t.opts.Died(p, status)
	}
}

// Processes returns all processes: NATS servers, nodes, nginx.
func (t *Topology) Processes() []*Process {
	var all []*Process
	for _, s := range t.NATS {
		all = append(all, s.Process)
	}
	for _, n := range t.Nodes {
		all = append(all, n.Process)
	}
	if t.Nginx != nil {
		all = append(all, t.Nginx.Process)
	}
	return all
}

// Deaths returns an error about unexpectedly ended processes, or nil.
func (t *Topology) Deaths() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.deaths...)
}

// Stop ends all processes with SIGTERM: nginx, then nodes, then NATS servers. It blocks until they have
// ended, for at most 45 s, and returns the result of Deaths. Processes cannot be started afterwards.
func (t *Topology) Stop() error {
	t.stop.Do(func() {
		all := t.Processes()
		servers, nodes := len(t.NATS), len(t.NATS)+len(t.Nodes)
		closeAll(all[nodes:])
		closeAll(all[servers:nodes])
		closeAll(all[:servers])
	})
	return t.Deaths()
}

func closeAll(processes []*Process) {
	var closing sync.WaitGroup
	for _, p := range processes {
		closing.Go(func() { p.close(grace) })
	}
	closing.Wait()
}
