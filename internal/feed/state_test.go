package feed

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// documented returns the transitions of the table in doc.go.
func documented(t *testing.T) (table [subscriptionStates][]SubscriptionState) {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text2, found := strings.Cut(string(text), "//\tfrom         to           when\n")
	if !found {
		t.Fatal("doc.go has no table of transitions")
	}
	state := func(name string) SubscriptionState {
		i := slices.Index(stateNames[:], strings.TrimSpace(name))
		if i < 0 {
			t.Fatalf("the table has a state %q", name)
		}
		return SubscriptionState(i)
	}
	for line := range strings.Lines(text2) {
		if !strings.HasPrefix(line, "//\t") {
			break
		}
		from, to := line[3:16], state(line[16:29])
		for s := range subscriptionStates {
			if strings.TrimSpace(from) == "any" && s != to || strings.TrimSpace(from) == s.String() {
				table[s] = append(table[s], to)
			}
		}
	}
	return table
}

// TestTransitions_Documented_AreThoseOfTheCode compares the table of the package documentation with
// the one that setStateLocked follows.
func TestTransitions_Documented_AreThoseOfTheCode(t *testing.T) {
	want := documented(t)
	for s := range subscriptionStates {
		got := slices.Sorted(slices.Values(transitions[s]))
		if slices.Sort(want[s]); !slices.Equal(got, want[s]) {
			t.Errorf("after %s the code has %v, the documentation %v", s, got, want[s])
		}
	}
}

// TestSetState_AnyTransition_KeepsIndexAndResyncConsistent tries every pair of states.
func TestSetState_AnyTransition_KeepsIndexAndResyncConsistent(t *testing.T) {
	reported := 0
	defer func(report func(*Subscription, SubscriptionState)) { reportTransition = report }(reportTransition)
	reportTransition = func(*Subscription, SubscriptionState) { reported++ }
	for from := range subscriptionStates {
		for to := range subscriptionStates {
			f, subs := benchFeed(1, func(int) string { return "a" })
			s := subs[0] // live
			if from != Live {
				s.setStateLocked(CatchingUp)
			}
			if from == Resyncing {
				s.resyncLocked(nil, place{})
			}
			s.state, reported = from, 0
			s.setStateLocked(to)
			if valid := from == to || slices.Contains(transitions[from], to); valid != (reported == 0) {
				t.Errorf("from %s to %s: %d reports", from, to, reported)
			}
			if to == Resyncing {
				continue // resyncLocked sets the resync
			}
			if s.resync != nil {
				t.Errorf("from %s to %s: the resync is left", from, to)
			}
			indexed := false
			f.index.match("a", func(*Subscription) { indexed = true })
			if closing := from == Live && to == Closed; indexed != (to == Live) && !closing {
				t.Errorf("from %s to %s: in the index is %v", from, to, indexed)
			}
		}
	}
}
