package feed

import (
	"strings"
	"testing"
	"time"
)

// TestResolveStart_EachStart_BeginsWhereDocumented resolves starts of a stream that holds 10 to 50,
// on a node whose window covers (20, 40].
func TestResolveStart_EachStart_BeginsWhereDocumented(t *testing.T) {
	const epoch, other = "k7f3q9", "zzzzzz"
	state := State{Epoch: epoch, Created: 7, FirstSeq: 10, LastSeq: 50}
	empty := State{Epoch: epoch, Created: 7, FirstSeq: 51, LastSeq: 50}
	recreated := State{Epoch: epoch, Created: 8, FirstSeq: 1, LastSeq: 60}
	newEpoch := State{Epoch: other, Created: 8, FirstSeq: 3, LastSeq: 60}
	mirror := State{Epoch: epoch, FirstSeq: 10, LastSeq: 50, Copy: CopyBehind}
	from := func(s string) Start {
		start, err := ParseFrom(s, time.Unix(1000, 0))
		if err != nil {
			t.Fatal(err)
		}
		return start
	}
	for _, c := range []struct {
		name    string
		start   Start
		leader  *State
		seqAt   uint64
		source  source
		at      string
		id      string // the same as at when empty
		gap     Reason
		resumed bool
		wait    bool
	}{
		{name: "new", start: Start{}, source: sourceNone, at: "40-" + epoch},
		{name: "malformed", start: Resume("x"), source: sourceNone, at: "40-" + epoch, id: "none", gap: Malformed},
		{name: "too long", start: Resume(strings.Repeat("1", 1000)), source: sourceNone, at: "40-" + epoch, id: "none", gap: Malformed},

		{name: "window", start: Resume("30-" + epoch), source: sourceWindow, at: "30-" + epoch, resumed: true},
		{name: "low end of the window", start: Resume("20-" + epoch), source: sourceWindow, at: "20-" + epoch, resumed: true},
		{name: "high end of the window", start: Resume("40-" + epoch), source: sourceWindow, at: "40-" + epoch, resumed: true},
		{name: "bare sequence", start: Resume("30"), source: sourceWindow, at: "30-" + epoch, resumed: true},
		{name: "from a sequence", start: from("31"), source: sourceWindow, at: "30-" + epoch},
		{name: "several", start: Resume("25-"+epoch, "x", "30-"+epoch, "99-"+other), source: sourceWindow, at: "30-" + epoch, resumed: true},
		{name: "several of another epoch", start: Resume("25-"+other, "30-"+other), source: sourceLeader, at: "25-" + other, resumed: true},
		{name: "several malformed", start: Resume("x", "y"), source: sourceNone, at: "40-" + epoch, id: "none", gap: Malformed},

		{name: "below the window", start: Resume("19-" + epoch), source: sourceLeader, at: "19-" + epoch, resumed: true},
		{name: "stored", start: Resume("19-" + epoch), leader: &state, source: sourceStore, at: "19-" + epoch, resumed: true},
		{name: "just before the first", start: Resume("9-" + epoch), leader: &state, source: sourceStore, at: "9-" + epoch, resumed: true},
		{name: "trimmed", start: Resume("8-" + epoch), leader: &state, source: sourceStore, at: "9-" + epoch, id: "8-" + epoch, gap: Trimmed},
		{name: "trimmed and empty", start: Resume("8-" + epoch), leader: &empty, source: sourceStore, at: "50-" + epoch, id: "8-" + epoch, gap: Trimmed},
		{name: "beyond the window", start: Resume("45-" + epoch), source: sourceLeader, at: "45-" + epoch, resumed: true},
		{name: "beyond the window, stored", start: Resume("45-" + epoch), leader: &state, source: sourceStore, at: "45-" + epoch, resumed: true},
		{name: "beyond the end", start: Resume("51-" + epoch), leader: &state, source: sourceStore, at: "50-" + epoch, id: "51-" + epoch, gap: Future},
		{name: "beyond the end of a mirror", start: Resume("51-" + epoch), leader: &mirror, source: sourceStore, at: "51-" + epoch, resumed: true, wait: true},
		{name: "other epoch", start: Resume("30-" + other), source: sourceLeader, at: "30-" + other, resumed: true},
		{name: "other epoch, unknown", start: Resume("30-" + other), leader: &state, source: sourceStore, at: "9-" + epoch, id: "30-" + other, gap: NewEpoch},
		{name: "other epoch, which only the leader has", start: Resume("30-" + other), leader: &newEpoch, source: sourceStore, at: "30-" + other, resumed: true},
		{name: "recreated with the same epoch", start: Resume("19-" + epoch), leader: &recreated, source: sourceStore, at: "0-" + epoch, id: "19-" + epoch, gap: NewEpoch},
		{name: "bare sequence of the leader's epoch", start: Resume("19"), leader: &newEpoch, source: sourceStore, at: "19-" + other, resumed: true},
		{name: "from a sequence below the first", start: from("3"), leader: &state, source: sourceStore, at: "9-" + epoch, id: "2-" + epoch, gap: Trimmed},

		{name: "all", start: from("all"), source: sourceLeader, at: "40-" + epoch},
		{name: "all, stored", start: from("all"), leader: &state, source: sourceStore, at: "9-" + epoch},
		{name: "all of a stream that never had an event", start: from("all"), leader: &State{Epoch: epoch}, source: sourceStore, at: "0-" + epoch},
		{name: "time", start: from("10m"), source: sourceLeader, at: "40-" + epoch},
		{name: "time, stored", start: from("10m"), leader: &state, seqAt: 33, source: sourceStore, at: "32-" + epoch},
		{name: "last", start: from("last"), source: sourceLeader, at: "40-" + epoch},
		{name: "last, stored", start: from("last"), leader: &state, source: sourceLatest, at: "50-" + epoch},
		{name: "last of an empty stream", start: from("last"), leader: &empty, source: sourceNone, at: "50-" + epoch},
	} {
		t.Run(c.name, func(t *testing.T) {
			view := streamView{incarnation: incarnation{epoch, 7}, first: 10, low: 20, high: 40, leader: c.leader, seqAt: c.seqAt}
			r := resolveStart(c.start, view)
			if c.id == "" {
				c.id = c.at
			}
			var reason Reason
			if r.gap != nil {
				reason = r.gap.Reason
				if id := r.requested; id != "" && r.gap.Requested != id || r.gap.Continues != r.at.position() || len(r.gap.Requested) > MaxPositionLen {
					t.Errorf("the gap is %+v", r.gap)
				}
			}
			if r.source != c.source || r.at.position().String() != c.at || strings.Replace(c.id, "none", "", 1) != r.requested ||
				reason != c.gap || r.resumed(r.gap) != c.resumed || r.mirrorWait != c.wait {
				t.Errorf("resolved to %+v, resumed %v", r, r.resumed(r.gap))
			}
		})
	}
}
