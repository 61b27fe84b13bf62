package memlimit

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// boundBy returns the memory limit for the limit of a control group, and the log.
func boundBy(t *testing.T, group memlimit.Provider) (limit int64, logged string) {
	t.Helper()
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	var log bytes.Buffer
	setFrom(slog.New(slog.NewTextHandler(&log, nil)), group)
	return debug.SetMemoryLimit(-1), log.String()
}

func TestSetFrom_ControlGroup(t *testing.T) {
	if value, set := os.LookupEnv("GOMEMLIMIT"); set {
		t.Setenv("GOMEMLIMIT", value) // restores it
		os.Unsetenv("GOMEMLIMIT")
	}
	for name, c := range map[string]struct {
		limit uint64
		err   error
		want  int64
		log   string
	}{
		"limit of 1 GB sets nine tenths":  {limit: 1_000_000_000, want: 900_000_000, log: "heap_bytes=900000000"},
		"no limit sets none":              {err: memlimit.ErrNoLimit, want: math.MaxInt64},
		"no control group sets none":      {err: memlimit.ErrNoCgroup, want: math.MaxInt64},
		"largest limit sets none":         {limit: math.MaxUint64, want: math.MaxInt64},
		"unreadable limit names a remedy": {err: errors.New("permission denied"), want: math.MaxInt64, log: "set GOMEMLIMIT"},
	} {
		t.Run(name, func(t *testing.T) {
			got, log := boundBy(t, func() (uint64, error) { return c.limit, c.err })
			if got != c.want || !strings.Contains(log, c.log) || c.log == "" && log != "" {
				t.Errorf("the limit is %d, want %d; logged %q", got, c.want, log)
			}
		})
	}
}

func TestSetFrom_Environment_IsKept(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "123MiB")
	got, log := boundBy(t, func() (uint64, error) { return 1_000_000_000, nil })
	if got != math.MaxInt64 || !strings.Contains(log, "123MiB") {
		t.Errorf("the limit is %d; logged %q", got, log)
	}
}

func TestCheck_LimitBelowBudget_Warns(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	budget := Budget{Windows: 60 << 20, Replays: 40 << 20}
	for _, c := range []struct {
		embedded bool
		limit    int64
		want     bool
	}{
		{true, math.MaxInt64, false},
		{true, 228 << 20, false},
		{true, 228<<20 - 1, true},
		{false, 100 << 20, false},
		{false, 100<<20 - 1, true},
	} {
		budget.Embedded = c.embedded
		debug.SetMemoryLimit(c.limit)
		var log bytes.Buffer
		Check(slog.New(slog.NewTextHandler(&log, nil)), budget)
		if warned := strings.Contains(log.String(), "lower window.bytes and limits.replay_bytes"); warned != c.want {
			t.Errorf("with a limit of %d and an embedded server (%t) it warns: %t, want %t: %s", c.limit, c.embedded, warned, c.want, log.String())
		}
	}
}
