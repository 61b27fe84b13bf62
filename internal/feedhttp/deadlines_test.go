package feedhttp

import (
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/testkit"
)

// expiring returns a session whose token expires 5 s after now on the wall clock, and the last turn
// at which something was written, just before.
func expiring(heartbeat time.Duration) (s *session, last engine.WriteTurn) {
	h := NewSubscribe(SubscribeOptions{Heartbeat: heartbeat, MaxIdle: time.Hour})
	now := time.Now()
	s = &session{handler: h, start: now, idle: idleClock{since: now}}
	s.deadlines.expireAt(now.Round(0).Add(5 * time.Second))
	return s, engine.WriteTurn{Now: now, Written: now}
}

// at returns the turn that comes after some time, at a wall clock that was set in between.
func at(last engine.WriteTurn, after, step time.Duration) engine.WriteTurn {
	return engine.WriteTurn{Now: testkit.ShiftWallClock(last.Now.Add(after), step), Written: last.Written}
}

func TestExpiry_WallClockSetBack_SleepsUntilTheHeartbeat(t *testing.T) {
	s, last := expiring(15 * time.Second)
	turn := at(last, 5*time.Second, -time.Hour) // when the token would have expired
	if err := s.deadlines.passed(turn.Now); err != nil {
		t.Errorf("closed an hour before the token expires: %v", err)
	}
	due := s.nextTurnLocked(turn, false)
	if want := last.Written.Add(15 * time.Second); due.Sub(want) != 0 {
		t.Errorf("due %v after the turn, want the heartbeat after %v", due.Sub(turn.Now), want.Sub(turn.Now))
	}
}

func TestExpiry_WallClockSetForward_EndsAtTheHeartbeat(t *testing.T) {
	s, last := expiring(3 * time.Second)
	if due := s.nextTurnLocked(last, true); due.Sub(last.Now) != 3*time.Second {
		t.Errorf("due %v after the turn, want the heartbeat after 3 s", due.Sub(last.Now))
	}
	if err := s.deadlines.passed(at(last, 3*time.Second, time.Hour).Now); err != errExpired {
		t.Errorf("the token expired an hour ago: %v", err)
	}
}

func TestExpiry_WallClockSet_HeartbeatsKeepTheirInterval(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, time.Hour} {
		s, last := expiring(3 * time.Second)
		s.deadlines.expires = 0
		turn := at(last, time.Second, step)
		if due := s.nextTurnLocked(turn, false); due.Sub(turn.Now) != 2*time.Second {
			t.Errorf("wall clock set by %v: the heartbeat is due after %v, want 2s", step, due.Sub(turn.Now))
		}
	}
}

func TestExpiry_BeforeTheHeartbeat_EndsWhenTheTokenExpires(t *testing.T) {
	s, last := expiring(15 * time.Second)
	due := s.nextTurnLocked(last, true)
	if late := due.Sub(last.Now) - 5*time.Second; late < 0 || late > 2*time.Millisecond {
		t.Errorf("due %v after the turn, want 5s", due.Sub(last.Now))
	}
	if err := s.deadlines.passed(due); err != errExpired {
		t.Errorf("at the time that was due: %v", err)
	}
}

func TestExpiry_CenturiesAhead_NeverEnds(t *testing.T) {
	s, last := expiring(15 * time.Second)
	s.deadlines.expireAt(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	if due := s.nextTurnLocked(last, true); due.Sub(last.Now) != 15*time.Second {
		t.Errorf("due after %v, want the heartbeat", due.Sub(last.Now))
	}
	if err := s.deadlines.passed(last.Now); err != nil {
		t.Error(err)
	}
}

// A time on the wall clock and one of the monotonic clock are not compared with each other: the
// maximum age holds whatever the wall clock does.
func TestMaxAge_WallClockSet_EndsAfterTheSameTime(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, time.Hour} {
		s, last := expiring(15 * time.Second)
		s.deadlines.expires = 0
		s.deadlines.set(last.Now.Add(10*time.Second), errMaxAge)
		turn := at(last, 4*time.Second, step)
		if due := s.nextTurnLocked(turn, false); due.Sub(turn.Now) != 6*time.Second {
			t.Errorf("wall clock set by %v: due after %v, want 6s", step, due.Sub(turn.Now))
		}
		if err := s.deadlines.passed(turn.Now); err != nil {
			t.Errorf("wall clock set by %v: %v", step, err)
		}
	}
}
