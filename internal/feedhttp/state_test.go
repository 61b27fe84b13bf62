package feedhttp

import (
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/tidemark/tidemark/internal/feed"
)

var docRow = regexp.MustCompile(`(?m)^//\t(new|connecting|catching up|live|closing|closed) +(new|connecting|catching up|live|closing|closed) {2}`)

func TestTransitions_PackageDoc_HasTheSame(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range docRow.FindAllStringSubmatch(string(doc), -1) {
		documented[row[1]+" to "+row[2]] = true
	}
	allowed := map[string]bool{}
	for from := range states {
		for to := range states {
			if transitions[from]&(1<<to) != 0 {
				allowed[from.String()+" to "+to.String()] = true
			}
		}
	}
	if !maps.Equal(documented, allowed) {
		t.Errorf("documented: %v\nallowed: %v", documented, allowed)
	}
	if s := docRow.FindString("//\tlive         catching up  x"); !strings.HasPrefix(s, "//\tlive") {
		t.Error("the pattern of rows finds none")
	}
}

func TestMove_EachPair_FollowsTheTable(t *testing.T) {
	for from := range states {
		for to := range states {
			s := &session{handler: NewSubscribe(SubscribeOptions{}), state: from}
			allowed := transitions[from]&(1<<to) != 0
			if moved := s.moveLocked(to); moved != allowed || (s.state == to) != (allowed || from == to) {
				t.Errorf("%v to %v: moved %t, now %v; allowed %t", from, to, moved, s.state, allowed)
			}
		}
	}
}

func TestMove_BetweenStoreAndWindow_HoldsOnePlaceOfReplays(t *testing.T) {
	a := NewAdmission(Limits{Replays: 1})
	h := NewSubscribe(SubscribeOptions{Admission: a})
	s := &session{handler: h, release: func() {}}
	for _, step := range []struct {
		to     state
		places int
	}{{stateConnecting, 1}, {stateCatchingUp, 1}, {stateLive, 0}, {stateCatchingUp, 1}, {stateClosing, 1}} {
		s.moveLocked(step.to)
		if _, n := a.Counts(); n != step.places {
			t.Errorf("%v: %d places, want %d", step.to, n, step.places)
		}
	}
	second := &session{handler: h}
	if second.moveLocked(stateConnecting) || second.state != stateNew {
		t.Errorf("a second one is %v, beyond the limit", second.state)
	}
	if n := a.Refused()[RefusedReplays]; n != 1 {
		t.Errorf("%d refused, want 1", n)
	}
	s.Ended(feed.ErrClosed, 0)
	if _, n := a.Counts(); n != 0 {
		t.Errorf("%d places after the end", n)
	}
}

func TestMove_FallsBehindBeyondTheLimit_IsNotRefused(t *testing.T) {
	a := NewAdmission(Limits{Replays: 1})
	h := NewSubscribe(SubscribeOptions{Admission: a})
	for range 2 {
		s := &session{handler: h, state: stateLive}
		if !s.moveLocked(stateCatchingUp) {
			t.Error("a connection that falls behind must be read for")
		}
	}
	if n := a.Refused()[RefusedReplays]; n != 0 {
		t.Errorf("%d refused, want 0", n)
	}
}

// There is a session for each of very many connections. 416 bytes is a size class of the Go runtime, and
// the next one is 448.
func TestSession_Size_FitsItsSizeClass(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 416 {
		t.Errorf("a session has %d bytes, more than 416", n)
	}
}
