package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/tidemark/tidemark/internal/testkit/leaks"
)

// The tests start the test binary also as a worker, or as a run that has workers.
const (
	asWorker = "TIDEMARK_BENCH_WORKER"
	asRun    = "TIDEMARK_BENCH_RUN" // set to the options of a run, as JSON
)

func TestMain(m *testing.M) {
	options, worker := os.Getenv(asRun), os.Getenv(asWorker) != ""
	if slices.Contains(os.Args, "-test.fuzzworker") {
		worker = false // the fuzzer starts this executable, too
	}
	_ = os.Unsetenv(asRun)
	_ = os.Setenv(asWorker, "1")               // for the processes that this one starts
	_ = os.Setenv("GORACE", "halt_on_error=1") // a race in one of them ends the run
	switch {
	case options == "" && worker:
		exit(RunWorker(context.Background(), os.Stdin, os.Stdout))
	case options != "":
		var opts Options
		if err := json.Unmarshal([]byte(options), &opts); err != nil {
			exit(err)
		}
		_, err := Load(context.Background(), opts)
		exit(err)
	}
	leaks.VerifyTestMain(m)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
