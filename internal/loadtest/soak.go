package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// SoakOptions are those of a run, and what happens to its clients.
type SoakOptions struct {
	Options
	// Churn is how many clients a second something happens to; a tenth of all when zero.
	Churn float64
	// Absence is the longest that a client stays away; 5 s when zero.
	Absence time.Duration
	// Server, if set, is started before the run, killed and started again during it.
	Server *ServerCmd
	// KillEvery is the time between two kills; never when zero.
	KillEvery time.Duration
}

func (o SoakOptions) withDefaults() SoakOptions {
	if o.Churn <= 0 {
		o.Churn = max(1, float64(o.Conns)/10)
	}
	if o.Absence <= 0 {
		o.Absence = 5 * time.Second
	}
	return o
}

// Soak publishes numbered events while clients come and go: aborts, connections cut in the
// middle of what they read, pauses that make them slow, long absences. At the end each
// client's numbers are compared with what was published.
func Soak(ctx context.Context, opts SoakOptions) (Result, error) {
	opts = opts.withDefaults()
	if opts.Server != nil {
		if err := opts.Server.Start(ctx, opts.URL); err != nil {
			return Result{}, err
		}
		defer opts.Server.Stop()
		opts.PIDs = nil // they change with each start
	}
	return run(ctx, "soak", opts.Options, func(b *bench, ctx context.Context) error {
		return b.soak(ctx, opts)
	})
}

func (b *bench) soak(ctx context.Context, opts SoakOptions) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	// Everybody receives one event first: who has no position yet has nothing to resume.
	if err := b.publish(ctx, "a first event for all", firstEvents(b.opts)); err != nil {
		return err
	}
	if level, err := b.waitUntilCaughtUp(ctx); err != nil || level.IsZero() {
		return cmp.Or(err, errNoFirst)
	}
	if err := b.clients.startChurn(ctx, opts.Churn, opts.Absence); err != nil {
		return err
	}
	kills, calm := context.WithCancel(ctx)
	defer calm()
	ended := make(chan error, 1)
	go func() { ended <- opts.Server.killRepeatedly(kills, opts.KillEvery, opts.URL) }()
	err := b.publish(ctx, "soaking", events(b.opts))
	calm()
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	if err := b.clients.restoreAll(ctx); err != nil {
		return err
	}
	_, err = b.waitUntilCaughtUp(ctx)
	return err
}

var errNoFirst = errors.New("not every client received a first event: is this the right feed, and are events published to it?")

func firstEvents(o Options) int {
	if o.Pattern == PerUser {
		return o.Users
	}
	return 1
}

// churn does something to one client after another, chosen by chance, until the swarm is calm.
func (s *localClients) startChurn(_ context.Context, perSecond float64, absence time.Duration) error {
	s.churning.Go(func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
		defer tick.Stop()
		for {
			select {
			case <-s.churnContext.Done():
				return
			case <-tick.C:
				s.disrupt(s.clients[rand.N(len(s.clients))], absence)
			}
		}
	})
	return nil
}

func (s *localClients) disrupt(c *client, absence time.Duration) {
	switch rand.N(5) {
	case 0: // comes back soon
		s.engine.disconnect(c, false)
	case 1: // and so after an abort
		s.engine.disconnect(c, true)
	case 2: // slow for a while
		s.engine.pause(c, true)
		time.AfterFunc(rand.N(absence), func() { s.engine.pause(c, false) })
	case 3: // slow, and cut with half of a frame read and the rest in the socket
		s.engine.pause(c, true)
		time.AfterFunc(rand.N(absence), func() { s.engine.disconnect(c, true) })
	case 4: // away for long
		s.disconnect(c)
		time.AfterFunc(rand.N(absence), func() { s.reconnect(c) })
	}
}

func (s *localClients) disconnect(c *client) {
	c.shard.mu.Lock()
	c.wantConnected = false
	c.shard.mu.Unlock()
	s.engine.disconnect(c, rand.N(2) == 0)
}

func (s *localClients) reconnect(c *client) {
	c.shard.mu.Lock()
	c.wantConnected = true
	c.shard.mu.Unlock()
	s.engine.open(c)
}

func (s *localClients) restoreAll(context.Context) error {
	s.stopChurn()
	s.churning.Wait()
	for _, c := range s.clients {
		s.engine.pause(c, false)
		s.reconnect(c)
	}
	return nil
}

// describe is for messages about a server that does not come up.
func serverCmdError(err error) error { return fmt.Errorf("the server of --server-cmd: %w", err) }
