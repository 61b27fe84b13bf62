package publish_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/publish"
	"github.com/tidemark/tidemark/internal/streamdef"
	"github.com/tidemark/tidemark/internal/testkit/leaks"
)

func TestMain(m *testing.M) { leaks.VerifyTestMain(m) }

// harness is natstest's with the methods that need a Publisher.
type harness struct{ *natstest.Harness }

func newHarness(t testing.TB) *harness { return &harness{natstest.New(t)} }

func (s *harness) publisher() *publish.Publisher {
	s.T.Helper()
	p, err := publish.New(s.Connect(), publish.Options{})
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(p.Close)
	return p
}

// epoch returns that of the stream as it is now.
func (s *harness) epoch() string {
	info := s.Stream().CachedInfo()
	return streamdef.Epoch(info.Created, info.Config.Metadata)
}

// publishUntilAvailable repeats a publish until NATS takes it.
func (s *harness) publishUntilAvailable(p *publish.Publisher, msg feed.Message) error {
	for range 1000 {
		err := p.Publish(s.Ctx(), msg)[0].Err
		if !errors.Is(err, feed.ErrUnavailable) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("NATS is still unavailable")
}

func make100() (msgs []feed.Message) {
	for n := range 100 {
		msgs = append(msgs, feed.Message{Subject: "notifications.n", Data: fmt.Append(nil, n)})
	}
	return msgs
}
