package feedhttp_test

import (
	"strconv"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
)

// TestStalledReplay_GivesItsBytesBack: a client that is behind and reads nothing holds neither bytes of
// the budget nor a reader of the log, is not disconnected, and gets each event once when it reads on.
func TestStalledReplay_GivesItsBytesBack(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const total = 3000
		with := slowSetup(proto)
		budget := feed.NewReplayBudget(1 << 20)
		with.feed = feed.Options{WindowEvents: 10, NoPreload: true, Replays: budget}
		r := newHarness(t, with)
		r.ReadBatch = 1000
		payload := make([]byte, 1000)
		for i := range payload {
			payload[i] = 'x'
		}
		for range total {
			r.Publish("n.all", "", payload)
		}
		r.level(t)
		s, _ := r.opened(t, "?from=all")
		for round := 1; round <= 2; round++ {
			r.await(t, "the replay is suspended", func() bool {
				status := budget.Status()
				return status.Suspended >= uint64(round) && status.Used == 0 && r.OpenReaders() == 0
			})
			n, err := rest(s, strconv.Itoa(round*total/4)+"-e1")
			if err != nil || n != total/4 {
				t.Fatalf("the client read %d events, then %v", n, err)
			}
		}
		n, err := rest(s, strconv.Itoa(total)+"-e1")
		if err != nil || n != total/2 {
			t.Errorf("the client read %d events in the end: %v", n, err)
		}
		r.await(t, "the budget is free", func() bool { return budget.Status().Used == 0 })
	})
}
