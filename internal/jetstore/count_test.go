package jetstore_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/publish"
)

// numbered stores events whose data are the numbers from first to last, each once:
// a publish that fails in an outage is repeated with the same ID.
func (s *harness) numbered(p *publish.Publisher, first, last int) error {
	for n := first; n <= last; n++ {
		text := strconv.Itoa(n)
		msg := feed.Message{Subject: "notifications.n", Data: []byte(text), ID: text}
		if err := s.insist(p, msg); err != nil {
			return err
		}
	}
	return nil
}

func (s *harness) insist(p *publish.Publisher, msg feed.Message) error {
	for range 1000 {
		err := p.Publish(s.Ctx(), msg)[0].Err
		if !errors.Is(err, feed.ErrUnavailable) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("NATS never came back")
}

func (s *harness) publisher() *publish.Publisher {
	s.T.Helper()
	p, err := publish.New(s.Connect(), publish.Options{})
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(p.Close)
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

func make100() (msgs []feed.Message) {
	for n := range 100 {
		msgs = append(msgs, feed.Message{Subject: "notifications.n", Data: fmt.Append(nil, n)})
	}
	return msgs
}
