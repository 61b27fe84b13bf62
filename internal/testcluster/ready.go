package testcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// pollPause is the interval between polls.
const pollPause = 50 * time.Millisecond

// await polls until a check returns nil, or ctx ends. Its error contains the last error of the check.
func await(ctx context.Context, what string, look func(context.Context) error) error {
	for {
		// A cluster without a leader does not answer.
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := look(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; last: %w", what, ctx.Err(), err)
		case <-time.After(pollPause):
		}
	}
}

// Ready blocks until all running processes are ready, or ctx ends.
//
// JetStream and every stream must have a leader, and every stream current replicas on the running servers.
// The nodes and nginx must answer with 200. Ready does not wait for processes whose end was requested. A
// process that died is an error.
func (t *Topology) Ready(ctx context.Context) error {
	for _, s := range t.NATS {
		if err := s.answers(ctx, s.MonitorURL+"/healthz?js-enabled-only=true"); err != nil {
			return err
		}
	}
	for _, n := range t.Nodes {
		if err := n.answers(ctx, n.URL+"/readyz"); err != nil {
			return err
		}
	}
	if err := t.withJetStream(ctx, func(js jetstream.JetStream) error {
		return await(ctx, "streams", func(ctx context.Context) error { return t.current(ctx, js) })
	}); err != nil {
		return err
	}
	if t.Nginx == nil {
		return nil
	}
	return t.Nginx.answers(ctx, t.Nginx.URL+"/readyz")
}

// answers waits until a process answers with 200, unless its end was requested.
func (p *Process) answers(ctx context.Context, url string) error {
	var died error
	err := await(ctx, p.name, func(ctx context.Context) error {
		switch l := p.current(); {
		case l.running():
			return get(ctx, url)
		case l != nil && !p.wasAsked(l):
			died = fmt.Errorf("%s has died: %s; see %s", p.name, l.cmd.ProcessState, p.log)
		}
		return nil
	})
	return errors.Join(died, err)
}

// current checks whether each stream has its leader and replicas.
func (t *Topology) current(ctx context.Context, js jetstream.JetStream) error {
	list := js.ListStreams(ctx)
	found := 0
	for info := range list.Info() {
		found++
		if err := t.replicated(info); err != nil {
			return fmt.Errorf("stream %s: %w", info.Config.Name, err)
		}
	}
	if list.Err() == nil && found == 0 {
		return errors.New("there are none")
	}
	return list.Err()
}

func (t *Topology) replicated(info *jetstream.StreamInfo) error {
	if info.Config.Replicas < 2 {
		return nil
	}
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return errNoLeader
	}
	for _, peer := range info.Cluster.Replicas {
		if !peer.Current && t.runs(peer.Name) {
			return fmt.Errorf("the replica on %s is behind", peer.Name)
		}
	}
	return nil
}

func (t *Topology) runs(server string) bool {
	s := t.Server(server)
	return s != nil && s.Running()
}

// get returns nil for a 200.
func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Close = true // a kept-alive connection would have goroutines
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, resp.Status, body)
	}
	return nil
}
