package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// revival is how long a cluster may take until it is whole again before that is reported.
const revival = time.Minute

// torment kills one process after the other with SIGKILL, starts each again after pause, and
// goes on when all is ready again, but not before every has passed. It begins after every, and
// ends with ctx.
func torment(ctx context.Context, topo *testcluster.Topology, every, pause time.Duration) {
	victims := topo.Processes()
	if !sleep(ctx, every) {
		return
	}
	for i := 0; ; i++ {
		next := time.After(every)
		p := victims[i%len(victims)]
		fmt.Printf("%s kill -9 %s\n", time.Now().Format(time.TimeOnly), p.Name())
		p.Kill()
		if !sleep(ctx, pause) {
			return
		}
		if err := p.Start(); err != nil {
			fmt.Println("cluster:", err)
			return
		}
		whole, cancel := context.WithTimeout(ctx, revival)
		err := topo.Ready(whole)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			fmt.Printf("%s not whole again after %s: %v\n", time.Now().Format(time.TimeOnly), revival, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// sleep reports whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
