package revocation

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/auth"
)

func TestApply_Sources_CountEachMessageOnce(t *testing.T) {
	var log testkit.Log
	var disconnected []string
	remembered := &auth.Revocations{Keep: time.Hour}
	f := New(Options{
		Remembered: remembered, Tags: &auth.Tagger{}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Disconnect: func(rev auth.Revocation, _ time.Time) int {
			if remembered.Status().Remembered == 0 {
				t.Error("connections are closed before the revocation is remembered")
			}
			disconnected = append(disconnected, rev.User)
			return 0
		},
	})
	message := []byte(`{"user":"42"}`)
	f.apply(message, time.Now(), published)
	f.apply(message, time.Now(), fromStream)
	for _, from := range []source{published, fromStream, notStored} {
		f.apply([]byte("not json"), time.Now(), from)
	}
	if applied, invalid := f.Counts(); applied != 1 || invalid != 2 || len(disconnected) != 2 {
		t.Errorf("applied %d, invalid %d, disconnected %q", applied, invalid, disconnected)
	}
	if n := strings.Count(log.String(), "revocation: invalid message; ignored"); n != 1 {
		t.Errorf("%d lines about invalid messages, want 1:\n%s", n, log.String())
	}
}

func TestFollower_Phases_DecideReadiness(t *testing.T) {
	f := New(Options{})
	for _, step := range []struct {
		phase   phase
		detail  string
		ready   bool
		problem string
		waiting bool
	}{
		{waiting, "", false, "the stream is not read yet", true},
		{waiting, "no leader", false, "the stream is not read yet: no leader", true},
		{followed, "", true, "", false},
		{unstored, "denied", true, "not stored, and lost when this node restarts: denied", false},
		{followed, "timeout", true, "out of reach: timeout", false},
	} {
		f.state.set(step.phase, step.detail)
		ready, err := f.Check()
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		if ready != step.ready || problem != step.problem || f.Waiting() != step.waiting {
			t.Errorf("%+v: ready %v, %q, waiting %v", step, ready, problem, f.Waiting())
		}
	}
}

func TestLogLimit_WithinItsPause_CountsForTheNextLine(t *testing.T) {
	var l logLimit
	now := time.Now()
	if n, ok := l.allow(now, 2); n != 2 || !ok {
		t.Errorf("first: %d, %v", n, ok)
	}
	if _, ok := l.allow(now.Add(logEvery-1), 3); ok {
		t.Error("a second line within the pause")
	}
	if n, ok := l.allow(now.Add(logEvery), 1); n != 4 || !ok {
		t.Errorf("after the pause: %d, %v, want 4", n, ok)
	}
}
