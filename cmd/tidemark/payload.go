package main

import (
	"context"
	"fmt"
	"io"

	"github.com/tidemark/tidemark/internal/feed"
)

// maxPayload is the largest payload that nats-server can be configured for.
const maxPayload = 64 << 20

// payload returns the data of an event: an argument, or else standard input.
func payload(ctx context.Context, stdin io.Reader, args []string) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		return []byte(args[0]), nil
	}
	var (
		data []byte
		err  error
	)
	done := make(chan struct{})
	go func() { // nothing can end a read of a terminal or a pipe
		defer close(done)
		data, err = io.ReadAll(io.LimitReader(stdin, maxPayload+1))
	}()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-done:
	}
	if err == nil && len(data) > maxPayload {
		err = feed.ErrTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return data, nil
}
