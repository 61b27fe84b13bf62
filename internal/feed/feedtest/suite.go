package feedtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// Harness is a Store under test, with an empty stream for `notifications.>`, and hands
// on that stream. Each function returns when the change is in force.
type Harness struct {
	Store    feed.Store
	Publish  func(subject, typ string, data []byte) (seq uint64)
	End      func(subject string, data []byte) (seq uint64) // publish an event that completes its subject
	Trim     func(first uint64)                             // forget what lies before first
	Delete   func(seq uint64)                               // from the inside
	Recreate func()                                         // delete the stream, and create it again
}

// TestStore checks the contract of feed.Store. Each case gets a harness of its own.
func TestStore(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"state", testState},
		{"time of the last event", testLastTime},
		{"seq at a time", testSeqAt},
		{"has deleted", testHasDeleted},
		{"count", testCount},
		{"read headers", testReadHeaders},
		{"read a range", testReadRange},
		{"read filters", testReadFilters},
		{"read what was requested", testReadRequested},
		{"read the last of each subject", testReadLast},
		{"count subjects", testCountSubjects},
		{"read what was trimmed meanwhile", testReadTrimmed},
		{"read while publishing", testReadConcurrently},
		{"read ends with its context", testReadContext},
		{"follow while publishing", testFollow},
		{"follow to a loss", testFollowLoss},
		{"follow through a recreation", testFollowRecreation},
		{"follow past a deleted end", testFollowDeletedEnd},
		{"event fields", testFields},
		{"ends", testEnds},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (h Harness) publish(n int, subject string) {
	for i := range n {
		h.Publish(subject, "", fmt.Appendf(nil, "%d", i))
	}
}

func (h Harness) state(t *testing.T) feed.State {
	t.Helper()
	s, err := h.Store.State(testContext(t))
	if err != nil {
		t.Fatalf("state: %v", err)
	}
	return s
}

func testState(t *testing.T, h Harness) {
	empty := h.state(t)
	if empty.Epoch == "" || !feed.ValidEpoch(empty.Epoch) || empty.LastSeq != 0 || empty.Deleted != 0 {
		t.Errorf("an empty stream: %+v", empty)
	}
	h.publish(5, "notifications.a")
	if s := h.state(t); s.FirstSeq != 1 || s.LastSeq != 5 || s.Deleted != 0 {
		t.Errorf("five events: %+v", s)
	}
	h.Trim(3)
	if s := h.state(t); s.FirstSeq != 3 || s.LastSeq != 5 || s.Deleted != 0 {
		t.Errorf("trimmed to 3: %+v", s)
	}
	h.Delete(4)
	if s := h.state(t); s.FirstSeq != 3 || s.LastSeq != 5 || s.Deleted != 1 {
		t.Errorf("4 deleted: %+v", s)
	}
	h.Trim(6)
	if s := h.state(t); s.FirstSeq != 6 || s.LastSeq != 5 || s.Epoch != empty.Epoch {
		t.Errorf("everything trimmed: %+v", s)
	}
	h.Recreate()
	if s := h.state(t); s.Epoch == empty.Epoch || s.LastSeq != 0 {
		t.Errorf("recreated: %+v, was %+v", s, empty)
	}
}

// The tail compares this time with that of the event to detect a stream that has lost its end.
func testLastTime(t *testing.T, h Harness) {
	if empty := h.state(t); !empty.LastTime.IsZero() {
		t.Errorf("the time of the last event of an empty stream is %v", empty.LastTime)
	}
	h.publish(5, "notifications.a")
	state := h.state(t)
	for ev, err := range h.Store.Follow(testContext(t), feed.FollowOptions{From: state.LastSeq, Epoch: state.Epoch}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Seq != state.LastSeq || !ev.Time.Equal(state.LastTime) {
			t.Errorf("event %d was stored at %v, and the state has %v of %d", ev.Seq, ev.Time, state.LastTime, state.LastSeq)
		}
		break
	}
}

func testSeqAt(t *testing.T, h Harness) {
	ctx := testContext(t)
	before := time.Now().Add(-time.Minute)
	h.publish(2, "notifications.a")
	time.Sleep(20 * time.Millisecond)
	middle := time.Now()
	time.Sleep(20 * time.Millisecond)
	h.publish(2, "notifications.a")
	for at, want := range map[time.Time]uint64{before: 1, middle: 3, time.Now().Add(time.Hour): 5} {
		if got, err := h.Store.SeqAt(ctx, at); got != want || err != nil {
			t.Errorf("SeqAt(%v) = %d, %v; want %d", at, got, err, want)
		}
	}
}

func testHasDeleted(t *testing.T, h Harness) {
	h.publish(8, "notifications.a")
	h.Trim(3)
	h.Delete(5)
	for _, c := range []struct {
		from, to uint64
		want     bool
	}{{3, 8, true}, {5, 5, true}, {6, 8, false}, {3, 4, false}, {1, 4, true}, {1, 2, true}} {
		if got, err := h.Store.HasDeleted(testContext(t), c.from, c.to); got != c.want || err != nil {
			t.Errorf("HasDeleted(%d, %d) = %v, %v; want %v", c.from, c.to, got, err, c.want)
		}
	}
}

func testCount(t *testing.T, h Harness) {
	h.publish(8, "notifications.a")
	h.Trim(3)
	h.Delete(5)
	for from, want := range map[uint64]uint64{1: 5, 3: 5, 4: 4, 5: 3, 6: 3, 8: 1, 9: 0} {
		if got, err := h.Store.Count(testContext(t), from); got != want || err != nil {
			t.Errorf("Count(%d) = %d, %v; want %d", from, got, err, want)
		}
	}
}

func testReadHeaders(t *testing.T, h Harness) {
	h.publish(700, "notifications.a")
	h.Delete(699)
	ctx := testContext(t)
	r, err := h.Store.Read(ctx, feed.ReadOptions{From: 5, To: 700, HeadersOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []uint64
	for err == nil {
		var batch feed.Batch
		batch, err = r.Next(ctx)
		for _, ev := range batch.Events {
			got = append(got, ev.Seq)
			if ev.Subject != "notifications.a" || len(ev.Data) != 0 {
				t.Fatalf("event %+v", ev)
			}
		}
	}
	if want := append(span(5, 698), 700); !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
		t.Errorf("read %d events, %v…: %v", len(got), head(got), err)
	}
}

// read returns the sequences of a whole replay and the state that came with its end.
func (h Harness) read(t *testing.T, opts feed.ReadOptions) (seqs []uint64, pending uint64, end feed.State) {
	t.Helper()
	ctx := testContext(t)
	r, err := h.Store.Read(ctx, opts)
	if err != nil {
		t.Fatalf("Read(%+v): %v", opts, err)
	}
	defer r.Close()
	for {
		batch, err := r.Next(ctx)
		seqs = append(seqs, sequences(batch.Events)...)
		if errors.Is(err, io.EOF) {
			return seqs, r.Pending(), batch.State
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
	}
}

func sequences(events []feed.Event) (seqs []uint64) {
	for _, ev := range events {
		seqs = append(seqs, ev.Seq)
	}
	return seqs
}

func testReadRange(t *testing.T, h Harness) {
	h.publish(700, "notifications.a")
	for _, c := range []struct{ from, to uint64 }{{1, 700}, {1, 1}, {698, 700}, {5, 400}, {700, 700}} {
		got, pending, end := h.read(t, feed.ReadOptions{From: c.from, To: c.to})
		if want := span(c.from, c.to); !slices.Equal(got, want) {
			t.Errorf("read %d to %d: %d events, %v…", c.from, c.to, len(got), head(got))
		}
		if pending < c.to-c.from+1 {
			t.Errorf("read %d to %d: pending %d", c.from, c.to, pending)
		}
		if end.LastSeq != 700 || end.Epoch == "" {
			t.Errorf("the end of a replay came with the state %+v", end)
		}
	}
}

func span(from, to uint64) (seqs []uint64) {
	for seq := from; seq <= to; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

func head(seqs []uint64) []uint64 { return seqs[:min(len(seqs), 12)] }

func testReadFilters(t *testing.T, h Harness) {
	for range 3 {
		h.publish(1, "notifications.user.1")
		h.publish(1, "notifications.user.2")
		h.publish(1, "notifications.city.paris.fr")
	}
	for _, c := range []struct {
		filters []string
		want    []uint64
	}{
		{[]string{"notifications.user.1"}, []uint64{1, 4, 7}},
		{[]string{"notifications.user.*"}, []uint64{1, 2, 4, 5, 7, 8}},
		{[]string{"notifications.city.>", "notifications.user.2"}, []uint64{2, 3, 5, 6, 8, 9}},
		{[]string{"notifications.nobody"}, nil},
	} {
		if got, _, _ := h.read(t, feed.ReadOptions{From: 1, To: 9, Filters: c.filters}); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.filters, got, c.want)
		}
	}
}

// testReadRequested: batches are no larger than the requests. An event that is larger is announced, and then
// comes alone.
func testReadRequested(t *testing.T, h Harness) {
	sizes := []int{10, 1000, 1000, 1000, 9000, 10, 1500, 1500, 20_000, 30_000, 10}
	for _, size := range sizes {
		h.Publish("notifications.a", "", make([]byte, size))
	}
	ctx := testContext(t)
	r, err := h.Store.Read(ctx, feed.ReadOptions{From: 1, To: uint64(len(sizes))})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const bytes = 4096
	var got []int
	large := 0
	for request := bytes; ; request = bytes {
		if err != nil {
			request = large
		}
		r.Request(request)
		var batch feed.Batch
		batch, err = r.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		tooLarge, ok := errors.AsType[*feed.LargeEventError](err)
		if err != nil && (!ok || request > bytes) {
			t.Fatalf("after %d events, %d bytes were requested: %v", len(got), request, err)
		}
		if ok {
			large = tooLarge.Bytes
			continue
		}
		total := 0
		for _, ev := range batch.Events {
			total += len(ev.Data)
			got = append(got, len(ev.Data))
		}
		if total > request || request > bytes && len(batch.Events) != 1 {
			t.Errorf("a request of %d bytes brought %d in %d events", request, total, len(batch.Events))
		}
	}
	if !slices.Equal(got, sizes) {
		t.Errorf("events of %v bytes, want %v", got, sizes)
	}
}

func testReadLast(t *testing.T, h Harness) {
	for _, s := range []string{"a", "b", "a", "c", "b"} {
		h.publish(1, "notifications."+s)
	}
	got, _, _ := h.read(t, feed.ReadOptions{From: 1, To: 5, LastPerSubject: true, Filters: []string{"notifications.*"}})
	if want := []uint64{3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("the last of each subject: %v, want %v", got, want)
	}
}

func testCountSubjects(t *testing.T, h Harness) {
	for _, s := range []string{"a", "b", "a", "c.x", "c.y", "b"} {
		h.publish(1, "notifications."+s)
	}
	for _, c := range []struct {
		filters []string
		limit   int
		want    int
	}{
		{[]string{"notifications.c.*"}, 2, 2}, {[]string{"notifications.>"}, 0, 4}, {nil, 0, 4}, {[]string{"notifications.*"}, 2, 2},
	} {
		n, err := h.Store.CountSubjects(testContext(t), c.filters, c.limit)
		if err != nil || n < c.want || c.limit > 0 && n > c.limit {
			t.Errorf("%q up to %d: %d subjects, %v; want %d", c.filters, c.limit, n, err, c.want)
		}
	}
	if n, err := h.Store.CountSubjects(testContext(t), []string{"notifications.*", "notifications.c.*"}, 3); err != nil || n <= 3 {
		t.Errorf("beyond the limit of 3: %d, %v", n, err)
	}
}

func testReadTrimmed(t *testing.T, h Harness) {
	ctx := testContext(t)
	h.publish(10, "notifications.a")
	r, err := h.Store.Read(ctx, feed.ReadOptions{From: 1, To: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h.Trim(11)
	for {
		batch, err := r.Next(ctx)
		if batch.State.FirstSeq != 11 {
			t.Fatalf("the state after the trim: %+v", batch.State)
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func testReadConcurrently(t *testing.T, h Harness) {
	h.publish(300, "notifications.a")
	var publishing sync.WaitGroup
	publishing.Go(func() { h.publish(300, "notifications.a") })
	defer publishing.Wait()
	for range 5 {
		last := h.state(t).LastSeq
		if got, _, _ := h.read(t, feed.ReadOptions{From: 1, To: last}); !slices.Equal(got, span(1, last)) {
			t.Errorf("read to %d while publishing: %d events", last, len(got))
		}
	}
}

func testReadContext(t *testing.T, h Harness) {
	h.publish(3, "notifications.a")
	ctx, cancel := context.WithCancel(testContext(t))
	r, err := h.Store.Read(ctx, feed.ReadOptions{From: 1, To: 3})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 10 {
		if _, err = r.Next(ctx); err != nil {
			break
		}
	}
	r.Close()
	r.Close()
	if err == nil {
		t.Error("Next goes on after its context has ended")
	}
	if _, err := h.Store.Read(ctx, feed.ReadOptions{From: 1, To: 3}); err == nil {
		t.Error("Read under an ended context")
	}
}

func testFields(t *testing.T, h Harness) {
	ctx := testContext(t)
	start := time.Now().Add(-5 * time.Second)
	h.Publish("notifications.a", "greeting", []byte("hello\nworld"))
	h.Publish("notifications.b", "", nil)
	check := func(where string, ev feed.Event) {
		want := feed.Event{Seq: 1, Subject: "notifications.a", Type: "greeting", Data: []byte("hello\nworld")}
		if ev.Seq == 2 {
			want = feed.Event{Seq: 2, Subject: "notifications.b"}
		}
		if ev.Subject != want.Subject || ev.Type != want.Type || string(ev.Data) != string(want.Data) {
			t.Errorf("%s: %+v", where, ev)
		}
		if ev.Time.Before(start) || ev.Time.After(time.Now().Add(5*time.Second)) {
			t.Errorf("%s: stored at %v", where, ev.Time)
		}
	}
	for ev, err := range h.Store.Follow(ctx, feed.FollowOptions{From: 1, Epoch: h.state(t).Epoch}) {
		if err != nil {
			t.Fatal(err)
		}
		if check("followed", ev); ev.Seq == 2 {
			break
		}
	}
	r, err := h.Store.Read(ctx, feed.ReadOptions{From: 1, To: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := 0; n < 2; {
		batch, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range batch.Events {
			check("read", ev)
			n++
		}
	}
}
