package main

import (
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/loadtest"
)

const benchWorker = "worker"

// newBenchWorker is the command that `tidemark bench … --workers N` starts.
func newBenchWorker() *cobra.Command {
	return &cobra.Command{
		Use:    benchWorker,
		Short:  "Serve as a worker of a load test",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(os.Interrupt) // Ctrl-C in a terminal also reaches the run, which ends its workers
			return loadtest.RunWorker(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// workerCommand returns the command that starts this program as a worker.
func workerCommand() ([]string, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the path of this program to start workers: %w", err)
	}
	return []string{own, "bench", benchWorker}, nil
}
