package feedtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

func testFollow(t *testing.T, h Harness) {
	const before, total = 20, 500
	h.publish(before, "notifications.a")
	var publishing sync.WaitGroup
	publishing.Go(func() { h.publish(total-before, "notifications.a") })
	defer publishing.Wait()
	contact := false
	opts := feed.FollowOptions{From: 11, Epoch: h.state(t).Epoch, Contact: func(err error) { contact = contact || err == nil }}
	var got []uint64
	for ev, err := range h.Store.Follow(testContext(t), opts) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, ev.Seq); ev.Seq == total {
			break
		}
	}
	if !slices.Equal(got, span(11, total)) {
		t.Errorf("followed %d events: %v…", len(got), head(got))
	}
	if !contact {
		t.Error("Contact was never told")
	}
}

// followToEnd returns what ended Follow, and what came before.
func (h Harness) followToEnd(ctx context.Context, opts feed.FollowOptions) (got []uint64, err error) {
	for ev, err := range h.Store.Follow(ctx, opts) {
		if err != nil {
			return got, err
		}
		got = append(got, ev.Seq)
	}
	return got, nil
}

func testFollowLoss(t *testing.T, h Harness) {
	h.publish(10, "notifications.a")
	h.Trim(6)
	epoch := h.state(t).Epoch
	for _, c := range []struct {
		opts feed.FollowOptions
		want feed.Reason
	}{
		{feed.FollowOptions{From: 3, Epoch: epoch}, feed.Trimmed},
		{feed.FollowOptions{From: 12, Epoch: epoch}, feed.Future},
		{feed.FollowOptions{From: 7, Epoch: "another"}, feed.NewEpoch},
	} {
		_, err := h.followToEnd(testContext(t), c.opts)
		loss, ok := errors.AsType[*feed.LossError](err)
		if !ok || loss.Reason != c.want || loss.From != c.opts.From || loss.State.LastSeq != 10 {
			t.Errorf("Follow(%+v) ended with %v, want %s", c.opts, err, c.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	got, err := h.followToEnd(ctx, feed.FollowOptions{From: 6, Epoch: epoch})
	if _, lost := errors.AsType[*feed.LossError](err); lost || !slices.Equal(got, span(6, 10)) {
		t.Errorf("followed %v to %v", got, err)
	}
}

func testFollowRecreation(t *testing.T, h Harness) {
	h.publish(3, "notifications.a")
	ctx := testContext(t)
	opts := feed.FollowOptions{From: 1, Epoch: h.state(t).Epoch}
	n := 0
	for ev, err := range h.Store.Follow(ctx, opts) {
		if loss, ok := errors.AsType[*feed.LossError](err); ok {
			if loss.Reason != feed.NewEpoch || loss.State.Epoch == opts.Epoch {
				t.Errorf("ended with %v", loss)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if n++; n != int(ev.Seq) { //nolint:gosec // a few events
			t.Errorf("event %d has sequence %d", n, ev.Seq)
		}
		if n == 3 {
			h.Recreate()
			h.publish(2, "notifications.a")
		}
	}
	t.Error("Follow never told of the other incarnation")
}

// The newest events are deleted before they are read: the follower reports how far nothing is
// stored without waiting for the next event, and continues behind it.
func testFollowDeletedEnd(t *testing.T, h Harness) {
	h.publish(6, "notifications.a")
	h.Delete(5)
	h.Delete(6)
	var got []uint64
	for ev, err := range h.Store.Follow(testContext(t), feed.FollowOptions{From: 3, Epoch: h.state(t).Epoch}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Deleted != (ev.Seq == 6) {
			t.Errorf("event %+v", ev)
		}
		got = append(got, ev.Seq)
		if ev.Seq == 6 {
			h.publish(1, "notifications.a")
		}
		if ev.Seq == 7 {
			break
		}
	}
	if want := []uint64{3, 4, 6, 7}; !slices.Equal(got, want) {
		t.Errorf("followed %v, want %v", got, want)
	}
}
