package engine

import (
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testkit"
)

// A source may return a time on the wall clock alone, such as the expiry of a token. The wall clock
// may have been set since the process started.
func TestDueNanos_WallClockSet_DueAfterTheSameDuration(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, 0, time.Hour} {
		now := testkit.ShiftWallClock(time.Now(), step)
		for _, in := range []time.Duration{time.Millisecond, 5 * time.Second, 24 * time.Hour} {
			for name, due := range map[string]time.Time{"monotonic": now.Add(in), "wall": now.Round(0).Add(in)} {
				if got := time.Duration(deadlineNanos(due, now) - nanos(now)); got != in {
					t.Errorf("wall clock set by %v, %s time in %v: due in %v", step, name, in, got)
				}
			}
		}
	}
}
