//go:build unix

package loadtest

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOptions_TooFewFiles_AreRejected(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		t.Skip("the system has no limit of open files")
	}
	opts := Options{Conns: int(limit.Cur), Rate: 1, WorkerCommand: []string{"none"}}
	if err := opts.withDefaults().check(); err == nil || !strings.Contains(err.Error(), "ulimit -n") || !strings.Contains(err.Error(), "--workers") {
		t.Errorf("%d connections in one process: %v", opts.Conns, err)
	}
	opts.Workers = 2
	if err := opts.withDefaults().check(); err != nil {
		t.Errorf("%d connections in two processes: %v", opts.Conns, err)
	}
	opts.Conns *= 2
	if err := opts.withDefaults().check(); err == nil {
		t.Errorf("%d connections in two processes need more files than %d", opts.Conns, limit.Cur)
	}
}
