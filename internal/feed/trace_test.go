package feed

import "testing"

// TestTraceCounts: subscriptions that an event matches, each once, also those that are full, and none
// that has seen it.
func TestTraceCounts(t *testing.T) {
	f, subs := benchFeed(3, func(int) string { return "a.*" })
	f.opts.MaxPending = 1
	subs[0].offered = 1 // a position ahead of the tail
	var offered []int
	event := func(seq uint64, subject string) Event {
		return Event{Seq: seq, Subject: subject, Trace: &Trace{
			Enqueued: func(n int) { offered = append(offered, n); f.Status() }, // no lock is held
			Sent:     func() { t.Error("nobody has sent it") },
		}}
	}
	f.offer(event(1, "a.b"))
	f.offer(event(2, "a.b")) // two are full, and leave
	f.offer(event(3, "a.b")) // so is the third
	f.offer(event(4, "a.b"))
	f.offer(event(5, "b"))
	want := []int{2, 3, 1, 0, 0}
	if len(offered) != len(want) {
		t.Fatal(offered)
	}
	for i := range want {
		if offered[i] != want[i] {
			t.Fatalf("%v, want %v", offered, want)
		}
	}
	d, _, _ := subs[1].take(nextBytes)
	if len(d.Frames) != 0 {
		t.Error("it was full and has kept something")
	}
	frames, _ := f.window.look(make([]*Frame, 10), 0)
	if len(frames) != 5 || frames[0].Trace() == nil {
		t.Error("a frame of the window has lost its trace")
	}
}

// TestNoTraceBeforeReady: what is read to fill the window was stored before.
func TestNoTraceBeforeReady(t *testing.T) {
	f := New(nil, Options{})
	f.window.reset(0)
	f.offer(Event{Seq: 1, Subject: "a", Trace: &Trace{Enqueued: func(int) { t.Error("it was told of") }}})
	frames, _ := f.window.look(make([]*Frame, 10), 0)
	if len(frames) != 1 || frames[0].Trace() != nil {
		t.Error("it is kept")
	}
}
