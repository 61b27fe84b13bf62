// Command tidemark serves JetStream streams as resumable Server-Sent Events. Its subcommands publish and
// follow events, and manage streams and nodes.
//
// Its exit status is 0 for success, 1 for a failure, 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tidemark/tidemark/internal/terminal"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return status(os.Stderr, newRoot().ExecuteContext(ctx))
}

// usageError is an error of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errSilent fails without a message, because the command has printed it.
var errSilent = errors.New("failed")

func status(stderr io.Writer, err error) int {
	_, usage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSilent):
		return 1
	}
	for line := range strings.SplitSeq(err.Error(), "\n") { // a line for each of joined errors
		fmt.Fprintf(stderr, "tidemark: %s\n", terminal.Escape(line)) // it may quote text of a server
	}
	if usage {
		return 2
	}
	return 1
}
