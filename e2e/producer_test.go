package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// producer is a NATS client that stores numbered events, each exactly once, through failures of the server.
type producer struct {
	t      *testing.T
	js     jetstream.JetStream
	stored atomic.Int64 // the last acknowledged number
}

func newProducer(t *testing.T, s *service) *producer {
	t.Helper()
	return newProducerAt(t, "nats://"+s.natsAddr)
}

// newProducerAt connects to one server or several, separated by commas.
func newProducerAt(t *testing.T, url string) *producer {
	t.Helper()
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.PingInterval(500*time.Millisecond), nats.MaxPingsOutstanding(2), // for servers that are paused
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	eventually(t, "a producer that is connected", nc.IsConnected) // the first attempt may have taken too long
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &producer{t: t, js: js}
}

// Every fifth event is for another user, every seventh for all users.
const (
	me    = "42"
	other = "43"
)

func recipient(n int) (subject string) {
	switch {
	case n%7 == 0:
		return "notifications.broadcast"
	case n%5 == 0:
		return "notifications.user." + other
	default:
		return "notifications.user." + me
	}
}

// numbersOf returns the numbers up to last that a user must receive.
func numbersOf(user string, last int) (numbers []int) {
	for n := 1; n <= last; n++ {
		if to := recipient(n); to == "notifications.broadcast" || to == "notifications.user."+user {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// body returns the data of event n: its number, and text of varying length, so that cuts happen at any byte.
func body(n int) string { return fmt.Sprintf("%d %s", n, strings.Repeat("~", n*37%600)) }

func number(data string) (n int) {
	_, _ = fmt.Sscanf(data, "%d", &n)
	return n
}

// publish stores the numbers from..to, one by one. It sends each until the server has acknowledged it; the message
// id keeps the server from storing it twice if an acknowledgement was lost.
func (p *producer) publish(from, to int) {
	for n := from; n <= to; n++ {
		for !p.try(n) {
			if p.t.Context().Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		p.stored.Store(int64(n))
		time.Sleep(2 * time.Millisecond) // leaves other processes time to run
	}
}

// fill stores the numbers up to last without pauses. It expects no failure.
func (p *producer) fill(last int) {
	p.t.Helper()
	for n := 1; n <= last; n++ {
		if _, err := p.js.PublishAsync(recipient(n), []byte(body(n)), jetstream.WithMsgID(fmt.Sprint("event-", n))); err != nil {
			p.t.Fatal(err)
		}
		if n%1000 == 0 || n == last {
			<-p.js.PublishAsyncComplete()
		}
	}
	p.checkStored(last)
	p.stored.Store(int64(last))
}

func (p *producer) try(n int) bool {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Second)
	defer cancel()
	_, err := p.js.Publish(ctx, recipient(n), []byte(body(n)), jetstream.WithMsgID(fmt.Sprint("event-", n)), jetstream.WithRetryAttempts(0))
	return err == nil
}

// awaitStored waits until the event n is stored, or the test is over.
func (p *producer) awaitStored(n int) {
	for p.stored.Load() < int64(n) && p.t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// checkStored compares the number of stored events.
func (p *producer) checkStored(want int) {
	p.t.Helper()
	stream, err := p.js.Stream(p.t.Context(), "NOTIFICATIONS")
	if err != nil {
		p.t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != uint64(want) {
		p.t.Errorf("%d events are stored, want %d", got, want)
	}
}
