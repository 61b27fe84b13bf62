package jetstore

import (
	"slices"
	"testing"
)

// reachable returns the states that a machine can enter from its first one.
func reachable[S ~uint8](transitions [][]S) (found []S) {
	found = []S{0}
	for i := 0; i < len(found); i++ {
		for _, next := range transitions[found[i]] {
			if !slices.Contains(found, next) {
				found = append(found, next)
			}
		}
	}
	return found
}

func TestReadState_Transitions_ReachEveryStateAndClosed(t *testing.T) {
	if got := reachable(readTransitions[:]); len(got) != int(readStates) {
		t.Errorf("reachable: %v", got)
	}
	for s := range readStates {
		if s != readClosed && !slices.Contains(readTransitions[s], readClosed) {
			t.Errorf("%s cannot be closed", s)
		}
		if len(s.String()) == 0 {
			t.Errorf("state %d has no name", s)
		}
	}
	if len(readTransitions[readClosed]) > 0 {
		t.Errorf("closed is not the last state: %v", readTransitions[readClosed])
	}
}

func TestFollowState_Transitions_ReachEveryStateAndEnded(t *testing.T) {
	if got := reachable(followTransitions[:]); len(got) != int(followStates) {
		t.Errorf("reachable: %v", got)
	}
	for s := range followStates {
		if s != followEnded && !slices.Contains(followTransitions[s], followEnded) {
			t.Errorf("%s cannot end", s)
		}
		if len(s.String()) == 0 {
			t.Errorf("state %d has no name", s)
		}
	}
	if len(followTransitions[followEnded]) > 0 {
		t.Errorf("ended is not the last state: %v", followTransitions[followEnded])
	}
}

func TestReaderMove_TransitionNotInTable_Panics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a finished reader pulls again")
		}
	}()
	r := &reader{state: readFinished}
	r.move(readPulling)
}

func TestFollowerMove_TransitionNotInTable_Panics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a starting follower reads without a consumer")
		}
	}()
	f := &follower{state: followStarting}
	f.move(followDirect)
}
