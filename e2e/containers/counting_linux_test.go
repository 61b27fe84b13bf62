package containers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/client"
)

// recovery bounds the time until clients have received everything. It is generous; the measured time is logged.
const recovery = 90 * time.Second

// counter is a client that records the numbers that it receives.
type counter struct {
	name string

	mu      sync.Mutex
	numbers []int
	times   []time.Time
	opened  bool
	gaps    []string
	ends    int // ended connections
}

func (c *counter) follow(ctx context.Context, opts client.Options) error {
	opts.OnDisconnect = func(error, time.Duration) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ends++
	}
	for ev, err := range client.Follow(ctx, opts) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := c.note(ev); err != nil {
			return err
		}
	}
	return nil
}

func (c *counter) note(ev client.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch ev.Kind {
	case client.KindOpen:
		c.opened = true
	case client.KindGap:
		c.gaps = append(c.gaps, ev.Gap.Reason)
	case client.KindMessage:
		number, err := strconv.Atoi(string(ev.Data))
		if err != nil {
			return fmt.Errorf("%s: an event without a number: %q", c.name, ev.Data)
		}
		c.numbers, c.times = append(c.numbers, number), append(c.times, time.Now())
	}
	return nil
}

func (c *counter) last() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.numbers) == 0 {
		return 0
	}
	return c.numbers[len(c.numbers)-1]
}

// silence returns the longest time between two events since a time.
func (c *counter) silence(since time.Time) (longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.times) - 1; i > 0 && c.times[i].After(since); i-- {
		longest = max(longest, c.times[i].Sub(c.times[i-1]))
	}
	return longest
}

func (c *counter) connectionsEnded() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ends
}

// counting is a producer of numbered events and clients that count them.
type counting struct {
	t        *testing.T
	counters []*counter
	stored   atomic.Int64 // the last acknowledged number
	stop     context.CancelFunc
	producer context.CancelFunc
	running  sync.WaitGroup
}

// count starts clients of nginx, two of them over HTTPS and HTTP/2, and then the producer.
func (p *project) count(clients int) *counting {
	p.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	producing, producer := context.WithCancel(ctx)
	c := &counting{t: p.t, stop: stop, producer: producer}
	p.t.Cleanup(func() { stop(); c.running.Wait() })
	secure := p.transport()
	p.t.Cleanup(secure.CloseIdleConnections)
	for i := range clients {
		one := &counter{name: fmt.Sprint("client ", i)}
		opts := client.Options{URL: p.http + "/events?user=42", IdleTimeout: time.Minute}
		if i < 2 {
			opts.URL, opts.HTTPClient = p.https+"/events?user=42", &http.Client{Transport: secure}
		}
		c.counters = append(c.counters, one)
		c.running.Go(func() {
			if err := one.follow(ctx, opts); err != nil {
				p.t.Error(err)
			}
		})
	}
	c.await("all clients are connected", func(one *counter) bool { one.mu.Lock(); defer one.mu.Unlock(); return one.opened })
	js := p.jetstream()
	c.running.Go(func() { c.produce(producing, js) })
	return c
}

// transport trusts the certificate that Compose made.
func (p *project) transport() *http.Transport {
	p.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.compose("exec", "-T", "nginx", "cat", "/certificate/cert.pem"))) {
		p.t.Fatal("nginx has no certificate")
	}
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
}

// jetstream connects to the addresses of the servers, which are reachable from this machine and from containers.
func (p *project) jetstream() jetstream.JetStream {
	p.t.Helper()
	var servers []string
	for _, service := range []string{"nats-1", "nats-2", "nats-3"} {
		for _, id := range p.containers(service) {
			for _, network := range p.inspect(id).NetworkSettings.Networks {
				servers = append(servers, "nats://"+network.IPAddress+":4222")
			}
		}
	}
	nc, err := nats.Connect(strings.Join(servers, ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.PingInterval(500*time.Millisecond), nats.MaxPingsOutstanding(2), nats.Timeout(time.Second))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		p.t.Fatal(err)
	}
	return js
}

// produce stores the numbers from 1 on, each until it is acknowledged.
func (c *counting) produce(ctx context.Context, js jetstream.JetStream) {
	for n := 1; ctx.Err() == nil; n++ {
		for ctx.Err() == nil {
			attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_, err := js.Publish(attempt, "notifications.user.42", []byte(strconv.Itoa(n)), jetstream.WithMsgID(fmt.Sprint("count-", n)))
			cancel()
			if err == nil {
				c.stored.Store(int64(n))
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *counting) await(what string, ok func(*counter) bool) {
	c.t.Helper()
	testkit.Eventually(c.t, recovery, what, func() bool {
		return !slices.ContainsFunc(c.counters, func(one *counter) bool { return !ok(one) })
	})
}

// during makes a change, and waits until every client has received an event that was stored after it. It logs how
// long the clients received none.
func (c *counting) during(t *testing.T, what string, change func()) {
	t.Helper()
	begun := time.Now()
	before := make([]int, len(c.counters))
	for i, one := range c.counters {
		before[i] = one.connectionsEnded()
	}
	change()
	took := time.Since(begun)
	target := c.stored.Load() + 1
	c.await("every client has what was stored after: "+what, func(one *counter) bool { return int64(one.last()) >= target })
	var affected []time.Duration
	for i, one := range c.counters {
		if one.connectionsEnded() > before[i] {
			affected = append(affected, one.silence(begun).Round(10*time.Millisecond))
		}
	}
	slices.Sort(affected)
	worst := time.Duration(0)
	for _, one := range c.counters {
		worst = max(worst, one.silence(begun).Round(10*time.Millisecond))
	}
	median := "none"
	if n := len(affected); n > 0 {
		median = affected[n/2].String()
	}
	t.Logf("%s: took %s; %d of %d clients reconnected, silence %s in the median of those; longest of all %s",
		what, took.Round(10*time.Millisecond), len(affected), len(c.counters), median, worst)
}

// check ends the producer. Each client must have each number once, in order, without a gap.
func (c *counting) check() {
	c.t.Helper()
	c.producer()
	testkit.Eventually(c.t, recovery, "all clients have all events", func() bool {
		last := int(c.stored.Load())
		return !slices.ContainsFunc(c.counters, func(one *counter) bool { return one.last() < last })
	})
	c.stop()
	c.running.Wait()
	for _, one := range c.counters {
		for i, number := range one.numbers {
			if number != i+1 {
				c.t.Errorf("%s has %d in place of %d", one.name, number, i+1)
				break
			}
		}
		if len(one.gaps) > 0 {
			c.t.Errorf("%s was sent gaps: %v", one.name, one.gaps)
		}
	}
	c.t.Logf("%d clients have each of %d events once, in order", len(c.counters), c.stored.Load())
}
