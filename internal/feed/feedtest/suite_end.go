package feedtest

import (
	"context"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
)

// testEnds checks that each way to read an event reports whether it completes its subject, and that Last returns the
// latest stored event of a subject.
func testEnds(t *testing.T, h Harness) {
	ctx := testContext(t)
	last := func(where, subject string, want uint64, end bool) {
		t.Helper()
		ev, found, err := h.Store.Last(ctx, subject)
		if err != nil || found != (want > 0) || ev.Seq != want || ev.End != end {
			t.Errorf("%s: the latest event of %s is %d, end %v, %v, %v; want %d, %v", where, subject, ev.Seq, ev.End, found, err, want, end)
		}
	}
	last("empty", "notifications.a", 0, false)
	h.publish(2, "notifications.a")
	h.End("notifications.a", []byte("bye"))
	h.publish(1, "notifications.b")
	last("ended", "notifications.a", 3, true)
	last("open", "notifications.b", 4, false)
	last("a prefix of others", "notifications", 0, false)
	h.readEnds(ctx, t, 3, 4)
	h.publish(1, "notifications.a")
	last("open again", "notifications.a", 5, false)
	h.Delete(5)
	last("its latest event is deleted", "notifications.a", 3, true)
	h.Delete(3)
	last("its end is deleted", "notifications.a", 2, false)
	h.Trim(4)
	last("trimmed", "notifications.a", 0, false)
	last("trimmed before it", "notifications.b", 4, false)
	h.Recreate()
	last("recreated", "notifications.b", 0, false)
}

// readEnds checks that the event end alone, of those up to last, is followed and read as an end.
func (h Harness) readEnds(ctx context.Context, t *testing.T, end, last uint64) {
	t.Helper()
	check := func(way string, ev feed.Event) {
		if ev.End != (ev.Seq == end) {
			t.Errorf("event %d is %s with end %v", ev.Seq, way, ev.End)
		}
	}
	for ev, err := range h.Store.Follow(ctx, feed.FollowOptions{From: 1, Epoch: h.state(t).Epoch}) {
		if err != nil {
			t.Fatal(err)
		}
		if check("followed", ev); ev.Seq == last {
			break
		}
	}
	r, err := h.Store.Read(ctx, feed.ReadOptions{From: 1, To: last})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for seq := uint64(0); seq < last; {
		batch, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range batch.Events {
			check("read", ev)
			seq = ev.Seq
		}
	}
}
