package jsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natsconn"
)

// Failure is the common part of all API responses.
type Failure struct {
	Error *jetstream.APIError `json:"error"`
}

// Err returns the error of the response, nil for none.
func (f Failure) Err() error {
	if f.Error == nil {
		return nil
	}
	return f.Error
}

// Client sends requests to the JetStream API over a connection. It does not go through the jetstream package,
// because one classification of errors serves all requests, and because decoding only the fields
// that matter keeps a STREAM.INFO for each batch cheap.
type Client struct {
	Conn    *nats.Conn
	Prefix  string // of subjects, with the dot; see [Prefix]
	Timeout time.Duration
	Watcher *natsconn.Watcher // ends the wait for an answer when the connection changes
}

// Request sends one request and decodes the answer. It blocks for Timeout at most. Errors name the
// operation, which names the stream; see [Unclear] and [Permanent].
func (c Client) Request(ctx context.Context, op string, req any, resp interface{ Err() error }) error {
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return err
		}
	}
	msg, err := c.ask(ctx, c.Prefix+op, body)
	if err == nil {
		err = Decode(msg.Data, resp)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// Decode reads a response. An unknown stream is feed.ErrNoStream.
func Decode(body []byte, resp interface{ Err() error }) error {
	if err := json.Unmarshal(body, resp); err != nil {
		return fmt.Errorf("cannot read the response: %w", err)
	}
	err := resp.Err()
	if IsError(err, CodeNoStream) {
		return feed.ErrNoStream
	}
	return err
}

func (c Client) ask(ctx context.Context, subject string, body []byte) (*nats.Msg, error) {
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn := c.Watcher.Current()
	defer context.AfterFunc(conn, cancel)()
	msg, err := c.Conn.RequestWithContext(bounded, subject, body)
	switch {
	case err == nil:
		return msg, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, context.Canceled):
		return nil, context.Cause(conn)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, ErrNoAnswer
	}
	return nil, natsconn.Explain(err)
}
