package main

import (
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/loadtest"
)

const benchWorker = "worker"

// newBenchWorker is what `tidemark bench … --workers N` starts, and nobody else.
func newBenchWorker() *cobra.Command {
	return &cobra.Command{
		Use:    benchWorker,
		Short:  "Have a part of a run's connections",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(os.Interrupt) // a terminal's Ctrl-C reaches the run too, which ends its workers
			return loadtest.RunWorker(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// workerCommand is this program as a worker.
func workerCommand() ([]string, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to start workers: %w", err)
	}
	return []string{own, "bench", benchWorker}, nil
}
