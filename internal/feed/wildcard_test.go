package feed_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/subject"
)

// wokenBy counts the calls of Wake.
type wokenBy chan struct{}

func (w wokenBy) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// TestResume_WildcardsWhilePublishing_EachEventOnce resumes over many ranges of the window while
// the tail appends to it: the read and the enqueued events join without a gap and without a repeat.
func TestResume_WildcardsWhilePublishing_EachEventOnce(t *testing.T) {
	store := feedtest.NewMemStore()
	const before, after = 6000, 3000
	subj := func(i int) string { return fmt.Sprintf("n.%d.x%d", i%3, i%11) }
	for i := 1; i <= before; i++ {
		store.Publish(subj(i), "", nil)
	}
	r := newHarness(t, store, feed.Options{})
	filters := []string{"n.1.*", "n.*.x4", "m.>", "o.*.x"}
	var want []uint64
	for i := 1; i <= before+after; i++ {
		if slices.ContainsFunc(filters, func(f string) bool { return subject.Matches(f, subj(i)) }) {
			want = append(want, uint64(i))
		}
	}
	var publishing, reading sync.WaitGroup
	publishing.Go(func() {
		for i := before + 1; i <= before+after; i++ {
			r.Publish(subj(i), "", nil)
		}
	})
	for range 8 {
		c := r.subscribe(t, feed.Resume("0-e1"), filters...)
		reading.Go(func() {
			if err := c.until(r.ctx, want[len(want)-1]); err != nil {
				t.Error(err)
			}
			if !slices.Equal(c.seqs, want) || len(c.gaps) > 0 {
				t.Errorf("%d events and the gaps %v, want %d events", len(c.seqs), c.gaps, len(want))
			}
		})
	}
	publishing.Wait()
	reading.Wait()
}

// The goroutine that polls serves other connections in between.
func TestPoll_MoreWindowThanOneCallReads_WakesAndContinues(t *testing.T) {
	store := feedtest.NewMemStore()
	const quiet = 20_000
	for range quiet {
		store.Publish("n.other", "", nil)
	}
	store.Publish("n.mine.1", "", nil)
	r := newHarness(t, store, feed.Options{})
	c := r.subscribe(t, feed.Resume("0-e1"), "n.mine.*", "n.*.*.a", "n.*.*.b")
	if got := c.sub.StartInfo().Pending; got != 1 {
		t.Errorf("%d events pending, want 1", got)
	}
	woken := make(wokenBy, 1)
	c.sub.Notify(woken)
	polls := 0
	for len(c.seqs) == 0 {
		<-woken
		d, behind, err := c.sub.Poll(1 << 20)
		if err != nil || behind {
			t.Fatal(behind, err)
		}
		c.record(d)
		polls++
	}
	if polls < 2 {
		t.Errorf("%d frames were matched in %d calls, want more", quiet, polls)
	}
	if at := c.sub.Position().Seq; at > quiet { // the event is not acknowledged yet
		t.Errorf("the position is %d before the event was sent", at)
	}
	c.want(t, fmt.Sprint(quiet+1))
}
