package streambackup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// requestTimeout limits the wait for a response of JetStream.
	requestTimeout = 10 * time.Second
	// stallTimeout limits the wait for the next part of a backup.
	stallTimeout = 30 * time.Second
	// chunkSize is the size of a sent part, below the smallest common max_payload.
	chunkSize = 64 << 10
)

// apiSubject returns the subject of a request of JetStream's API for js.
func apiSubject(js jetstream.JetStream, op string) string {
	prefix := "$JS.API"
	switch opts := js.Options(); {
	case opts.Domain != "":
		prefix = "$JS." + opts.Domain + ".API"
	case opts.APIPrefix != "":
		prefix = opts.APIPrefix
	}
	return prefix + "." + op
}

// request sends req, which may be raw bytes, and decodes the response into resp unless that is nil.
func request(ctx context.Context, nc *nats.Conn, subject string, body []byte, resp any) error {
	msg, err := nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if len(msg.Data) == 0 && resp == nil {
		return nil // a part was received
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return fmt.Errorf("the server answers %q: %w", msg.Data, err)
	}
	if answer.Error != nil {
		return answer.Error
	}
	if resp == nil {
		return nil
	}
	return json.Unmarshal(msg.Data, resp)
}

// stalled explains the end of a wait with a timeout.
func stalled(ctx context.Context, err error, timeout time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("the server did not answer for %s; try again", timeout)
	}
	return err
}
