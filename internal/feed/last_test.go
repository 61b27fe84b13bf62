package feed_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

func newLastHarness(t *testing.T, subjects int) *harness {
	t.Helper()
	store := feedtest.NewMemStore()
	for i := range subjects {
		store.Publish(fmt.Sprintf("n.%d", i), "", nil)
	}
	return newHarness(t, store, feed.Options{})
}

func TestSubscribe_LastOverTooManySubjects_Fails(t *testing.T) {
	r := newLastHarness(t, 5)
	last, err := feed.ParseFrom("last", time.Now())
	if err != nil || !last.Last() {
		t.Fatal(last, err)
	}
	for _, c := range []struct {
		filters []string
		max     int
		refused bool
	}{
		{[]string{"n.*"}, 4, true}, {nil, 4, true}, {[]string{"n.*"}, 5, false}, {[]string{"n.*"}, 0, false},
		{[]string{"n.1", "n.2"}, 1, true}, {[]string{"n.1", "n.2"}, 2, false}, {[]string{"other.>"}, 1, false},
	} {
		sub, err := r.feed.Subscribe(r.ctx, feed.SubscribeOptions{Filters: c.filters, Start: last, MaxLastSubjects: c.max})
		many, refused := errors.AsType[*feed.TooManySubjectsError](err)
		switch {
		case refused != c.refused, !refused && err != nil:
			t.Errorf("%q with at most %d: %v", c.filters, c.max, err)
		case refused && (many.Limit != c.max || many.Subjects <= c.max):
			t.Errorf("%q with at most %d: %+v", c.filters, c.max, many)
		case !refused:
			sub.Close()
		}
	}
	sub, err := r.feed.Subscribe(r.ctx, feed.SubscribeOptions{Filters: []string{"n.*"}, Start: feed.Resume("0-e1"), MaxLastSubjects: 1})
	if err != nil {
		t.Fatalf("a start at a position is bounded, too: %v", err)
	}
	sub.Close()
}

func TestLastSubjects_SameFilters_CountedOnceForSomeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLastHarness(t, 3)
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() {
				if n, err := r.feed.LastSubjects(r.ctx, []string{"n.*"}, 0); n != 3 || err != nil {
					t.Error(n, err)
				}
			})
		}
		asking.Wait()
		if n := r.Counted(); n != 1 {
			t.Errorf("counted %d times, want once", n)
		}
		r.Publish("n.new", "", nil)
		time.Sleep(6 * time.Second)
		if n, err := r.feed.LastSubjects(r.ctx, []string{"n.*"}, 0); n != 4 || err != nil {
			t.Error(n, err)
		}
		if _, err := r.feed.LastSubjects(r.ctx, []string{"n.1", "n.2"}, 0); err != nil || r.Counted() != 2 {
			t.Errorf("subjects without wildcards were counted: %d times, %v", r.Counted(), err)
		}
	})
}

// The caller that counts for all may end before the count.
func TestLastSubjects_CountFails_OthersCountAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLastHarness(t, 3)
		r.SetDown(errors.New("away"))
		first, leave := context.WithCancel(r.ctx)
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := r.feed.LastSubjects(first, []string{"n.*"}, 0); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		asking.Go(func() {
			if n, err := r.feed.LastSubjects(r.ctx, []string{"n.*"}, 0); n != 3 || err != nil {
				t.Error(n, err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		r.SetDown(nil)
		asking.Wait()
	})
}
