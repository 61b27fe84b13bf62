package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// recoveryTimeout is how long a cluster may take until it is ready again before that is reported.
const recoveryTimeout = time.Minute

// chaos kills the processes in turn with SIGKILL, and starts each again after pause. The interval between two
// kills is every, or longer if the cluster is not ready by then. It begins after every, and ends with ctx.
func chaos(ctx context.Context, topo *testcluster.Topology, every, pause time.Duration) {
	processes := topo.Processes()
	if !sleep(ctx, every) {
		return
	}
	for i := 0; ; i++ {
		next := time.After(every)
		p := processes[i%len(processes)]
		fmt.Printf("%s kill -9 %s\n", time.Now().Format(time.TimeOnly), p.Name())
		p.Kill()
		if !sleep(ctx, pause) {
			return
		}
		if err := p.Start(); err != nil {
			fmt.Println("cluster:", err)
			return
		}
		recovery, cancel := context.WithTimeout(ctx, recoveryTimeout)
		err := topo.Ready(recovery)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			fmt.Printf("%s not ready again after %s: %v\n", time.Now().Format(time.TimeOnly), recoveryTimeout, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// sleep blocks for d or until ctx ends. It reports whether ctx is still open.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
