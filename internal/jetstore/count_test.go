package jetstore_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// numbered stores events whose data are the numbers from first to last, each once: what
// fails in an outage is sent again under the same ID.
func (s *stand) numbered(p *jetstore.Publisher, first, last int) error {
	for n := first; n <= last; n++ {
		text := strconv.Itoa(n)
		msg := feed.Message{Subject: "notifications.n", Data: []byte(text), ID: text}
		if err := s.insist(p, msg); err != nil {
			return err
		}
	}
	return nil
}

func (s *stand) insist(p *jetstore.Publisher, msg feed.Message) error {
	for range 1000 {
		err := p.Publish(s.ctx(), msg)[0].Err
		if !errors.Is(err, feed.ErrUnavailable) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("NATS never came back")
}

func (s *stand) publisher() *jetstore.Publisher {
	s.t.Helper()
	p, err := jetstore.NewPublisher(s.connect(), jetstore.PublisherOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.Close)
	return p
}

// counter holds events to the numbers that numbered gave them.
type counter struct {
	t    testing.TB
	next int
}

func (c *counter) take(ev feed.Event) {
	c.t.Helper()
	n, err := strconv.Atoi(string(ev.Data))
	if err != nil || n != c.next {
		c.t.Fatalf("event %d carries %q, want %d", ev.Seq, ev.Data, c.next)
	}
	c.next++
}

// follow counts events until last has come; during is called after each.
func (c *counter) follow(ctx context.Context, l *jetstore.Store, opts feed.FollowOptions, last int, during func(n int)) {
	c.t.Helper()
	for ev, err := range l.Follow(ctx, opts) {
		if err != nil {
			c.t.Fatal(err)
		}
		c.take(ev)
		n := c.next - 1
		if n == last {
			return
		}
		during(n)
	}
	c.t.Fatalf("the sequence ended before %d", c.next)
}
