package feed

import "testing"

// Each subscription counts once, also if its queue overflows. A subscription that has already received
// the event does not count.
func TestTrace_EventMatches_CountsSubscriptions(t *testing.T) {
	f, subs := benchFeed(3, func(int) string { return "a.*" })
	f.opts.MaxPending = 1
	subs[0].enqueuedTo = 1 // a position ahead of the tail
	var counts []int
	event := func(seq uint64, subject string) Event {
		return Event{Seq: seq, Subject: subject, Trace: &Trace{
			Enqueued: func(n int) { counts = append(counts, n); f.Status() }, // no lock is held
			Sent:     func() { t.Error("it was not sent") },
		}}
	}
	f.publish(event(1, "a.b"))
	f.publish(event(2, "a.b")) // two queues are full: they leave the index
	f.publish(event(3, "a.b")) // so is the third one
	f.publish(event(4, "a.b"))
	f.publish(event(5, "b"))
	want := []int{2, 3, 1, 0, 0}
	if len(counts) != len(want) {
		t.Fatal(counts)
	}
	for i := range want {
		if counts[i] != want[i] {
			t.Fatalf("%v, want %v", counts, want)
		}
	}
	d, _ := subs[1].dequeuePending(nextBytes)
	if len(d.Frames) != 0 {
		t.Error("it was full and has kept something")
	}
	frames, _ := f.window.copyAfter(make([]*Frame, 10), 0)
	if len(frames) != 5 || frames[0].Trace() == nil {
		t.Error("a frame of the window has lost its trace")
	}
}

// Events that fill the window were stored before the node started.
func TestTrace_FeedNotReady_IsDropped(t *testing.T) {
	f := New(nil, Options{})
	f.window.reset(0)
	f.publish(Event{Seq: 1, Subject: "a", Trace: &Trace{Enqueued: func(int) { t.Error("Enqueued was called") }}})
	frames, _ := f.window.copyAfter(make([]*Frame, 10), 0)
	if len(frames) != 1 || frames[0].Trace() != nil {
		t.Error("it is kept")
	}
}
