// Package memlimit adapts the garbage collector of the process to its control group, and compares its memory
// limit with the budget of a configuration.
package memlimit

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent lets the heap grow to three times the live data before the collector runs. A collection marks all
// connections, which delays events: half as many collections are worth a few hundred bytes a connection.
// GOGC overrides it, and GOMEMLIMIT limits the whole.
const gcPercent = 200

// SetGCPercent makes garbage collections rarer, unless GOGC is set.
func SetGCPercent() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// heapShare is the part of the limit of the control group that the heap may use. The rest is for memory that
// the Go runtime does not count: memory-mapped files, and sockets in the kernel.
const heapShare = 0.9

// SetFromControlGroup sets the memory limit of the Go runtime from the control group. It does nothing if
// GOMEMLIMIT is set or the group (v1 or v2) has no limit. Without it the heap would grow beyond what the
// kernel allows, and the kernel would end the process.
func SetFromControlGroup(logger *slog.Logger) { setFrom(logger, memlimit.FromCgroup) }

func setFrom(logger *slog.Logger, group memlimit.Provider) {
	if value, set := os.LookupEnv("GOMEMLIMIT"); set {
		logger.Info("memory limit comes from the environment", "GOMEMLIMIT", value)
		return
	}
	limit, err := group()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		logger.Debug("no memory limit", "reason", err)
		return
	case err != nil:
		logger.Warn("memory: limit of the control group cannot be read; not applied", "error", err, "remedy", "set GOMEMLIMIT if there is a limit")
		return
	case limit > math.MaxInt64:
		return
	}
	heap := int64(heapShare * float64(limit))
	debug.SetMemoryLimit(heap)
	logger.Info("memory limit set from the control group", "group_bytes", limit, "heap_bytes", heap)
}

// embeddedMemory is the memory of a node with an embedded NATS server besides its windows and replays. Measured
// with 320 MiB of events of 64 KiB: the kernel ended nodes in a group of 160 MiB, with the default windows and
// also with 24 MiB of windows and replays, and did not end one with the default 96 MiB in a group of 256 MiB at
// 8 MiB/s. At about 100 MiB/s it ended that one too, and one of 384 MiB: the store of NATS keeps recent
// writes in memory.
const embeddedMemory = 128 << 20

// Budget is the memory of a configuration, in bytes.
type Budget struct {
	Windows, Replays int64
	Embedded         bool // with the embedded NATS server
}

// Check warns if a budget does not fit the memory limit of the Go runtime. That limit is soft: memory in use
// exceeds it until the kernel ends the process.
func Check(logger *slog.Logger, b Budget) {
	needed := b.Windows + b.Replays
	if b.Embedded {
		needed += embeddedMemory
	}
	heap := debug.SetMemoryLimit(-1)
	if heap >= needed {
		return
	}
	logger.Warn("memory: limit is small for this configuration; the kernel may end the process",
		"heap_bytes", heap, "needed_bytes", needed, "window_bytes", b.Windows, "replay_bytes", b.Replays,
		"remedy", "raise the limit, or lower window.bytes and limits.replay_bytes")
}
