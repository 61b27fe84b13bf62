package main

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/tidemark/tidemark/internal/config"
)

// gcPercent lets the heap grow to three times what is alive before the collector runs. It marks
// all connections, which delays the events of that time: half as often is worth a few hundred bytes
// a connection. GOGC says otherwise, and GOMEMLIMIT bounds the whole.
const gcPercent = 200

func collectRarely() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// memoryShare is the part of the control group's limit that the heap may fill. The rest is for what
// the Go runtime does not count: memory-mapped files, and the kernel's memory for sockets.
const memoryShare = 0.9

// boundMemory sets the memory limit of the Go runtime from the control group (v1 or v2) of the process,
// unless GOMEMLIMIT is set or there is no limit. Without it the collector would let the heap grow
// beyond what the kernel allows, and the process would be killed.
func boundMemory(logger *slog.Logger, group memlimit.Provider) {
	if value, set := os.LookupEnv("GOMEMLIMIT"); set {
		logger.Info("memory limit is set by the environment", "GOMEMLIMIT", value)
		return
	}
	limit, err := group()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		logger.Debug("memory is not limited", "reason", err)
		return
	case err != nil:
		logger.Warn("cannot read the memory limit of the control group; set GOMEMLIMIT if the process has one", "error", err)
		return
	case limit > math.MaxInt64:
		return
	}
	heap := int64(memoryShare * float64(limit))
	debug.SetMemoryLimit(heap)
	logger.Info("memory limit set from the control group", "group_bytes", limit, "heap_bytes", heap)
}

// embeddedMemory is what a node with an embedded NATS server needs besides its windows and replays. Measured with
// 320 MiB of events of 64 KiB: the kernel ended nodes in a group of 160 MiB, with the default windows and also with
// 24 MiB of windows and replays, and did not end one with the default 96 MiB in a group of 256 MiB at 8 MiB/s. At about
// 100 MiB/s it ended that one, too, and one of 384 MiB: the store of NATS keeps what it has just written in memory.
const embeddedMemory = 128 << 20

// checkBudgets warns where the node may fill the memory limit of the Go runtime. That limit is soft: what is in use
// is kept beyond it, until the kernel ends the process.
func checkBudgets(logger *slog.Logger, cfg config.Config) {
	streams := make(map[string]bool)
	for _, f := range cfg.Feeds {
		streams[f.Stream] = true
	}
	windows, replays := int64(len(streams))*int64(cfg.Window.Bytes), int64(cfg.Limits.ReplayBytes)
	needed := windows + replays
	if cfg.NATS.URL == "" {
		needed += embeddedMemory
	}
	heap := debug.SetMemoryLimit(-1)
	if heap >= needed {
		return
	}
	logger.Warn("the memory limit is small for this configuration, and the kernel may end the process; "+
		"raise the limit, or lower window.bytes and limits.replay_bytes",
		"heap_bytes", heap, "needed_bytes", needed, "window_bytes", windows, "replay_bytes", replays)
}
