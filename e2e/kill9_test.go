package e2e_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestServe_KilledWhileClientsAreCut_DeliversEachEventOnce cuts clients repeatedly while events are published, and kills the service: every client receives each
// event once, in order.
func TestServe_KilledWhileClientsAreCut_DeliversEachEventOnce(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]string{"window": "--window.events=65536", "tiny window": "--window.events=20"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testKill9(t, flag)
		})
	}
}

func testKill9(t *testing.T, flag string) {
	const total, kills = 1505, 4 // the last event is for all users
	s := serve(t, "--sse.heartbeat=1s", flag)
	watched, printed := newProxy(t, s.httpAddr), newProxy(t, s.httpAddr)
	followers := []struct {
		*follower
		user string
	}{
		{follow(t, "program", watched.url("/events?user=42"), 0), me},
		{follow(t, "program at another path", watched.url("/api/events/subscribe?user=42"), 0), me},
		{follow(t, "program that is restarted", watched.url("/events?user=42"), 90), me},
		{follow(t, "program of another user", watched.url("/sse-notifications?user=43"), 0), other},
		{follow(t, "program without a proxy", s.url("/events?user=42"), 0), me},
	}
	for _, f := range followers {
		f.awaitOpen(1)
	}
	sub := subscribe(t, printed.url("/events"))

	p := newProducer(t, s)
	var chaos, publishing sync.WaitGroup
	over := make(chan struct{})
	chaos.Go(func() { cutOften(over, watched, allCuts) })
	chaos.Go(func() { cutOften(over, printed, noticedCuts) })
	publishing.Go(func() { p.publish(1, total-1) })
	for i := range kills {
		p.awaitStored((i + 1) * total / (kills + 1))
		s.kill()
		s.start()
	}
	s.kill() // also while it starts
	s.start()
	publishing.Wait()
	close(over)
	chaos.Wait()
	p.publish(total, total) // for all users: a repeated event would arrive before it
	s.awaitReady()

	for _, f := range followers {
		f.wantExactly(numbersOf(f.user, total))
	}
	wantExactly(t, "tidemark subscribe", numbersOf(me, total), sub.numbers)
	t.Logf("tidemark subscribe: %d events over %d connections", len(sub.numbers()), sub.count("open"))
	if gaps := sub.count("gap"); gaps > 0 {
		t.Errorf("tidemark subscribe was told of %d gaps", gaps)
	}
	p.checkStored(total)
}

// cutOften cuts all connections of a proxy, at random times.
func cutOften(over <-chan struct{}, p *proxy, ways []cut) {
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(50+rand.IntN(400)) * time.Millisecond):
			p.cut(ways...)
		}
	}
}
