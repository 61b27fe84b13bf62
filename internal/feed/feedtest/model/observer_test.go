package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// story is a stream and one connection, whose deliveries a test makes up.
type story struct {
	*Observer
	rec        *Record
	violations []string
}

// newStory returns a stream of an epoch e1 with events 1 to n on notifications.a, and a
// connection that has resumed at a sequence.
func newStory(n int, resume uint64) *story {
	s := &story{rec: newRecord("e1")}
	for range n {
		s.publish("notifications.a")
	}
	s.connect(start{
		kind: "resume", named: feed.Position{Seq: resume, Epoch: "e1"}, order: int(resume), tick: s.rec.tick, text: "resume",
	}, "notifications.a")
	return s
}

func (s *story) connect(st start, filters ...string) {
	s.Observer = &Observer{
		rec: s.rec, filters: filters, start: st, asked: s.rec.tick, seen: map[int]uint64{}, reasons: map[feed.Reason]int{}, removedWithin: 2 * time.Second,
		report: func(v string) { s.violations = append(s.violations, v) },
	}
}

func (s *story) publish(subject string) {
	now := time.Now()
	s.rec.publish(&event{seq: s.rec.current.last + 1, subject: subject, sent: now, acked: now})
}

// opens is a truthful opening without a gap.
func (s *story) opens() {
	p := s.start.named
	n := uint64(len(slices.DeleteFunc(s.rec.present(), func(e *event) bool { return e.seq <= p.Seq })))
	s.open(feed.StartInfo{ID: p.String(), Position: p, Resumed: true, Pending: n}, true)
}

// gets delivers events as they were stored, by their order.
func (s *story) gets(orders ...int) {
	for _, order := range orders {
		e := s.rec.current.find(order)
		s.getsAs(fmt.Sprintf("%d-%s", e.seq, s.rec.current.epoch), order, e.subject)
	}
}

func (s *story) getsAs(id string, order int, subject string) {
	s.frame(fmt.Appendf(nil, "data: %d|\nid: %s\n\n", order, id), subject, time.Now())
}

func (s *story) getsGap(why feed.Reason, requested, first, continues uint64) {
	at := func(seq uint64) feed.Position { return feed.Position{Seq: seq, Epoch: s.rec.current.epoch} }
	s.gap(&feed.Gap{Reason: why, Requested: at(requested).String(), FirstAvailable: at(first), Continues: at(continues)})
}

func (s *story) delete(seq uint64) { s.rec.remove(func(e *event) bool { return e.seq == seq }) }
func (s *story) trim(first uint64) { s.rec.remove(func(e *event) bool { return e.seq < first }) }

func (s *story) ends(seq uint64) { s.end(feed.Position{Seq: seq, Epoch: s.rec.current.epoch}) }

// recreates replaces the stream by an empty one.
func (s *story) recreates(epoch string) {
	s.rec.removeStream(nil)
	s.rec.recreated(epoch)
}

func TestObserver_TruthfulDeliveries_AreAccepted(t *testing.T) {
	for name, tell := range map[string]func(*story){
		"everything": func(s *story) { s.opens(); s.gets(3, 4, 5); s.ends(5) },
		"a heartbeat": func(s *story) {
			s.opens()
			s.gets(3, 4, 5)
			s.publish("notifications.b")
			s.position(feed.Position{Seq: 6, Epoch: "e1"})
			s.ends(6)
		},
		"trimmed": func(s *story) {
			s.opens()
			s.gets(3)
			s.trim(5)
			s.getsGap(feed.Trimmed, 3, 5, 4)
			s.gets(5)
			s.ends(5)
		},
		"deleted": func(s *story) {
			s.opens()
			s.gets(3)
			s.delete(4)
			s.getsGap(feed.Possible, 3, 1, 3)
			s.gets(5)
			s.ends(5)
		},
		"had it": func(s *story) { s.opens(); s.gets(3, 4); s.delete(4); s.gets(5); s.ends(5) },
		"recreated": func(s *story) {
			s.opens()
			s.recreates("e2")
			s.publish("notifications.a")
			s.getsEpochGap("5-e1", "1-e2", "0-e2")
			s.gets(6)
			s.ends(1)
		},
		"its subject": func(s *story) {
			s.publish("notifications.b")
			s.connectAt5()
			s.publish("notifications.a")
			s.gets(7)
			s.ends(7)
		},
		"rolled back": func(s *story) {
			s.rec.backUp()
			s.publish("notifications.a")
			s.opens()
			s.gets(3, 4, 5, 6)
			s.rollBack()
			s.getsGap(feed.Future, 6, 1, 5)
			s.publish("notifications.a")
			s.gets(7)
			s.ends(6)
		},
		"deleted, far": func(s *story) { s.opens(); s.delete(1); s.gets(3, 4, 5); s.ends(5) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(5, 2)
			tell(s)
			if len(s.violations) > 0 {
				t.Errorf("violations: %q", s.violations)
			}
		})
	}
}

func (s *story) getsEpochGap(requested, first, continues string) {
	parse := func(text string) feed.Position { p, _ := feed.ParsePosition(text); return p }
	s.gap(&feed.Gap{Reason: feed.NewEpoch, Requested: requested, FirstAvailable: parse(first), Continues: parse(continues)})
}

func (s *story) connectAt5() {
	s.connect(start{kind: "resume", named: feed.Position{Seq: 5, Epoch: "e1"}, order: 5, tick: s.rec.tick}, "notifications.a")
	s.open(feed.StartInfo{ID: "5-e1", Position: s.start.named, Resumed: true}, true)
}

func (s *story) rollBack() { s.rec.restore("e1", false, map[int]uint64{0: 100}) }

// Each case falsifies one thing that a connection receives.
func TestObserver_FalsifiedDeliveries_AreFound(t *testing.T) {
	at := func(seq uint64) feed.Position { return feed.Position{Seq: seq, Epoch: "e1"} }
	for _, c := range []struct {
		name, want string
		tell       func(*story)
	}{
		{"skipped", "4-e1 (4) was passed over before 5-e1, and is stored", func(s *story) { s.opens(); s.gets(3, 5) }},
		{"skipped at the end", "passed over at the end", func(s *story) { s.opens(); s.gets(3, 4); s.ends(5) }},
		{"twice", "delivered twice", func(s *story) { s.opens(); s.gets(3, 4, 4) }},
		{"out of order", "3-e1 follows 4-e1", func(s *story) { s.opens(); s.gets(4, 3) }},
		{"had it already", "2-e1 follows 2-e1", func(s *story) { s.opens(); s.gets(2) }},
		{"another subject", "does not match", func(s *story) { s.publish("notifications.b"); s.opens(); s.gets(3, 4, 5, 6) }},
		{"another content", "was not stored there", func(s *story) { s.opens(); s.getsAs("3-e1", 4, "notifications.a") }},
		{"another epoch", "an epoch that never was", func(s *story) { s.opens(); s.getsAs("3-e9", 3, "notifications.a") }},
		{"no position", "without a position", func(s *story) { s.opens(); s.frame([]byte("data: 3|\n\n"), "notifications.a", time.Now()) }},
		{"a deletion without a gap", "was removed at 7 and passed over", func(s *story) { s.opens(); s.gets(3); s.delete(4); s.gets(5) }},
		{"a trim without a gap", "was removed at", func(s *story) { s.opens(); s.trim(5); s.gets(5) }},
		{"a gap before the deletion", "was removed at", func(s *story) {
			s.delete(1)
			s.opens()
			s.gets(3)
			s.delete(5)
			s.getsGap(feed.Possible, 3, 2, 3)
			s.delete(4)
			s.publish("notifications.a")
			s.gets(6)
		}},
		{"new incarnation without a gap", "without a gap", func(s *story) { s.opens(); s.recreates("e2"); s.publish("notifications.a"); s.gets(6) }},
		{"gap over stored events", "passes over 4 (4), which is stored", func(s *story) { s.opens(); s.trim(4); s.getsGap(feed.Trimmed, 2, 4, 4) }},
		{"possible without deletions", "gap possible without a cause", func(s *story) { s.opens(); s.getsGap(feed.Possible, 2, 1, 2) }},
		{"possible for what lies behind", "gap possible without a cause", func(s *story) { s.delete(1); s.opens(); s.getsGap(feed.Possible, 2, 2, 2) }},
		{"trimmed without a trim", "gap trimmed without a cause", func(s *story) { s.opens(); s.getsGap(feed.Trimmed, 2, 1, 2) }},
		{"future within the stream", "gap future without a cause", func(s *story) { s.opens(); s.getsGap(feed.Future, 2, 1, 5) }},
		{"epoch within the incarnation", "gap epoch without a cause", func(s *story) { s.opens(); s.getsGap(feed.NewEpoch, 2, 1, 0) }},
		{"malformed, though it is not", "gap malformed", func(s *story) { s.opens(); s.getsGap(feed.Malformed, 2, 1, 5) }},
		{"an earlier incarnation", "back to an earlier incarnation", func(s *story) {
			s.recreates("e2")
			s.publish("notifications.a")
			s.connect(start{kind: "resume", named: feed.Position{Seq: 1, Epoch: "e2"}, order: 6, tick: s.rec.tick}, "notifications.a")
			s.open(feed.StartInfo{ID: "1-e2", Position: s.start.named, Resumed: true}, true)
			s.getsEpochGap("1-e2", "1-e1", "0-e1")
		}},
		{"a gap that goes back", "goes back from 4-e1 to 3-e1", func(s *story) { s.opens(); s.gets(3, 4); s.trim(4); s.getsGap(feed.Trimmed, 2, 4, 3) }},
		{"first available", "never began with", func(s *story) { s.opens(); s.trim(5); s.getsGap(feed.Trimmed, 2, 4, 4) }},
		{"requested by another epoch", "the connection is at", func(s *story) {
			s.opens()
			s.trim(5)
			s.gap(&feed.Gap{Reason: feed.Trimmed, Requested: "2-e0", FirstAvailable: at(5), Continues: at(4)})
		}},
		{"replaced without a gap", "replaced another event", func(s *story) {
			s.rec.backUp()
			s.publish("notifications.a")
			s.opens()
			s.gets(3, 4, 5, 6)
			s.rollBack()
			s.publish("notifications.a") // 6 again
			s.publish("notifications.a")
			s.gets(8)
			s.ends(7)
		}},
		{"a position ahead", "passed over by the position 5-e1", func(s *story) { s.opens(); s.gets(3); s.position(at(5)) }},
		{"a position ahead of a deletion", "was removed", func(s *story) { s.opens(); s.gets(3); s.delete(4); s.position(at(4)) }},
		{"a position that falls", "falls from 5-e1 to 4-e1", func(s *story) { s.opens(); s.gets(3, 4, 5); s.position(at(5)); s.position(at(4)) }},
		{"a late position", "ends at the position 4-e1", func(s *story) { s.opens(); s.gets(3, 4, 5); s.ends(4) }},
		{"removed long ago", "was removed at 7, and is delivered", func(s *story) {
			s.opens()
			s.delete(3)
			e := s.rec.current.find(3)
			e.absent[0].since = time.Now().Add(-3 * time.Second)
			s.gets(3)
		}},
		{"opens elsewhere", "named 2-e1, and is continued at 3-e1", func(s *story) { s.open(feed.StartInfo{ID: "2-e1", Position: at(3), Resumed: true, Pending: 2}, true) }},
		{"opens with another id", `is given the id "3-e1"`, func(s *story) { s.open(feed.StartInfo{ID: "3-e1", Position: at(2), Resumed: true, Pending: 3}, true) }},
		{"opens as new", "resumed is false", func(s *story) { s.open(feed.StartInfo{ID: "2-e1", Position: at(2), Pending: 3}, true) }},
		{"pending", "opens with 2 pending, and 3 are stored", func(s *story) { s.open(feed.StartInfo{ID: "2-e1", Position: at(2), Resumed: true, Pending: 2}, true) }},
		{"too much pending", "only 3 were ever stored", func(s *story) { s.open(feed.StartInfo{ID: "2-e1", Position: at(2), Resumed: true, Pending: 4}, false) }},
		{"malformed, continued", "a malformed position is answered", func(s *story) {
			s.start.malformed = true
			s.open(feed.StartInfo{ID: "2-e1", Position: at(2), Resumed: true}, false)
		}},
		{"from all, not at the front", "from=all opens at 2-e1", func(s *story) {
			s.connect(start{kind: "all"}, "notifications.a")
			s.open(feed.StartInfo{ID: "2-e1", Position: at(2), Pending: 3}, true)
		}},
		{"from new, beyond the end", "beyond the end", func(s *story) {
			s.connect(start{kind: "new"}, "notifications.a")
			s.open(feed.StartInfo{ID: "6-e1", Position: at(6)}, true)
		}},
		{"from a time, too late", "was stored since", func(s *story) {
			s.connect(start{kind: "time", time: time.Now().Add(-time.Hour)}, "notifications.a")
			s.rec.tick++
			s.asked = s.rec.tick
			s.open(feed.StartInfo{ID: "2-e1", Position: at(2), Pending: 3}, true)
		}},
		{"from a time, too early", "was stored earlier", func(s *story) {
			s.connect(start{kind: "time", time: time.Now().Add(time.Hour)}, "notifications.a")
			s.rec.tick++
			s.asked = s.rec.tick
			s.open(feed.StartInfo{ID: "2-e1", Position: at(2), Pending: 3}, true)
		}},
		{"from last, behind the latest", "which is the latest of notifications.a", func(s *story) {
			s.rec.tick++
			s.connect(start{kind: "last"}, "notifications.a")
			s.open(feed.StartInfo{ID: "5-e1", Position: at(5)}, false)
		}},
		{"from last, without the latest", "passed over before 6-e1", func(s *story) {
			s.connect(start{kind: "last"}, "notifications.a", "notifications.b")
			s.open(feed.StartInfo{ID: "4-e1", Position: at(4), Pending: 1}, true)
			s.publish("notifications.b")
			s.gets(6)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(5, 2)
			c.tell(s)
			if !slices.ContainsFunc(s.violations, func(v string) bool { return strings.Contains(v, c.want) }) {
				t.Errorf("found %q, want %q", s.violations, c.want)
			}
		})
	}
}
