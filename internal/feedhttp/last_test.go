package feedhttp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// logOfTopics has one event on each of n subjects.
func logOfTopics(n int) *feedtest.MemStore {
	log := feedtest.NewMemLog()
	log.ReadBatch = 1000
	for i := range n {
		log.Publish(fmt.Sprintf("n.topic.u%d", i), "", []byte("x"))
	}
	return log
}

func lastRig(t *testing.T, log *feedtest.MemStore, limits feedhttp.Limits) (*rig, *feedhttp.Admission) {
	t.Helper()
	a := feedhttp.NewAdmission(limits)
	return newRig(t, setup{log: log, opts: feedhttp.SubscribeOptions{Admission: a, RetryLater: time.Minute, Heartbeat: beat}}), a
}

const manyLast = "?only=1&from=last&subject=n.topic.%3E"

func TestFromLast_TooManySubjects_Answers400(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		a := feedhttp.NewAdmission(feedhttp.Limits{LastSubjects: 4})
		r := newRig(t, setup{proto: proto, log: logOfTopics(5), opts: feedhttp.SubscribeOptions{Admission: a}})
		<-r.feed.Ready()
		resp, text := r.answer(t, http.MethodGet, "/"+manyLast)
		var p feedhttp.Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(p.Detail, "limits.last_subjects") || !strings.Contains(p.Detail, "at most 4 ") {
			t.Errorf("%d %+v, want 400 with the bound and its key", resp.StatusCode, p)
		}
		if n := a.Refused()[feedhttp.RefusedLastSubjects]; n != 1 {
			t.Errorf("%d refusals are counted, want 1", n)
		}
		r.opened(t, "?only=1&from=last&subject=n.topic.u1&subject=n.topic.u2") // fewer
		r.opened(t, "?only=1&from=all&subject=n.topic.%3E")                    // another start
		r.opened(t, manyLast, "Last-Event-ID", "1-e1")                         // a position is stronger
	})
}

// TestFromLast_StoreOutOfReach_ClosesOnceCounted: the bound is found when the answer has begun.
func TestFromLast_StoreOutOfReach_ClosesOnceCounted(t *testing.T) {
	log := logOfTopics(5)
	r, a := lastRig(t, log, feedhttp.Limits{LastSubjects: 4})
	<-r.feed.Ready()
	r.SetDown(errors.New("away"))
	r.await(t, "the feed has noticed", func() bool { return r.feed.LostFor() > 0 })
	waiting := r.subscribe(t, manyLast)
	r.SetDown(nil)
	sentAway(t, waiting, feedhttp.CloseLimit)
	if n := a.Refused()[feedhttp.RefusedLastSubjects]; n != 1 {
		t.Errorf("%d refusals are counted, want 1", n)
	}
}

// TestFromLast_ManyWait_OthersAreSentAway bounds those that wait for a start over many subjects: by
// user, by address, and in all. An EventSource gets 200, because any other status would be final.
func TestFromLast_ManyWait_OthersAreSentAway(t *testing.T) {
	for name, c := range map[string]struct {
		limits feedhttp.Limits
		first  []string
		second []string
		reason feedhttp.CloseReason
		count  feedhttp.Refusal
	}{
		"user":    {feedhttp.Limits{LastWaitingPerUser: 1}, []string{"X-User", "1"}, []string{"X-User", "1"}, feedhttp.CloseLimit, feedhttp.RefusedLastPerUser},
		"address": {feedhttp.Limits{LastWaitingPerAddress: 1}, []string{"X-User", "1"}, []string{"X-User", "2"}, feedhttp.CloseLimit, feedhttp.RefusedLastPerAddress},
		"all":     {feedhttp.Limits{LastWaiting: 1}, nil, []string{"X-User", "2"}, feedhttp.CloseOverload, feedhttp.RefusedLast},
	} {
		t.Run(name, func(t *testing.T) {
			const subjects = feed.FewSubjects + 1
			r, a := lastRig(t, logOfTopics(subjects), c.limits)
			<-r.feed.Ready()
			r.SetDown(errors.New("away"))
			r.await(t, "the feed has noticed", func() bool { return r.feed.LostFor() > 0 })
			waiting := r.subscribe(t, manyLast, c.first...)
			r.await(t, "it is counted", func() bool { _, n := a.Counts(); return n == 1 })
			sentAway(t, r.subscribe(t, manyLast, c.second...), c.reason)
			if n := a.Refused()[c.count]; n != 1 {
				t.Errorf("%d refusals are counted, want 1: %v", n, a.Refused())
			}
			r.SetDown(nil)
			var open feedhttp.Open
			waiting.control(t, feedhttp.TypeOpen, &open)
			if open.Pending != subjects {
				t.Errorf("%d events pending, want %d", open.Pending, subjects)
			}
			room := func() bool { return a.LastWaiting() == 0 }
			r.await(t, "there is room again", room)
			again, _ := r.opened(t, manyLast, c.second...)
			again.resp.Body.Close()
			r.await(t, "the start was made", room)
			left := r.subscribe(t, manyLast, c.first...)
			left.resp.Body.Close()
			r.await(t, "one that leaves makes room, too", room)
			r.opened(t, manyLast, c.second...)
		})
	}
}

// TestFromLast_FewSubjects_NotCounted: those cost as little as any other start.
func TestFromLast_FewSubjects_NotCounted(t *testing.T) {
	r, a := lastRig(t, logOfTopics(10), feedhttp.Limits{LastWaiting: 1, LastWaitingPerAddress: 1, LastWaitingPerUser: 1, LastSubjects: 10})
	<-r.feed.Ready()
	for range 20 {
		r.subscribe(t, manyLast, "X-User", "1")
	}
	r.awaitStreams(t, a, 20)
	for reason, n := range a.Refused() {
		if n != 0 {
			t.Errorf("%d were refused: %s", n, reason)
		}
	}
}

// TestFromLast_StoreOutOfReach_CountsThoseOfManySubjectsAlone: named subjects need no answer.
func TestFromLast_StoreOutOfReach_CountsThoseOfManySubjectsAlone(t *testing.T) {
	r, a := lastRig(t, logOfTopics(5), feedhttp.Limits{LastWaitingPerAddress: 1})
	<-r.feed.Ready()
	r.SetDown(errors.New("away"))
	r.await(t, "the feed has noticed", func() bool { return r.feed.LostFor() > 0 })
	for range 3 {
		r.subscribe(t, "?only=1&from=last&subject=n.topic.u1&subject=n.topic.u2")
	}
	r.subscribe(t, manyLast) // of how many is not known
	r.await(t, "all wait", func() bool { _, n := a.Counts(); return n == 4 })
	sentAway(t, r.subscribe(t, manyLast), feedhttp.CloseLimit)
	r.SetDown(nil)
}
