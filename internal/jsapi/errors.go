package jsapi

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natsconn"
)

// Error codes of JetStream that callers decide on, from the server's errors.json.
const (
	CodeMaxConsumers = 10026
	CodeNoMessage    = 10037
	CodeNoStream     = 10059
)

// ErrNoAnswer is the error of a request after Client.Timeout.
var ErrNoAnswer = errors.New("no answer from JetStream (an operation that is not permitted looks the same)")

// Unclear reports that a request may have been carried out though it failed.
func Unclear(err error) bool {
	return errors.Is(err, ErrNoAnswer) || errors.Is(err, natsconn.ErrChanged)
}

// IsError reports that JetStream answered with an error code.
func IsError(err error, code jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == code
}

// Permanent reports that the same request would fail in the same way again.
func Permanent(err error) bool {
	for _, end := range []error{feed.ErrNoStream, nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrBadSubject, nats.ErrMaxPayload} {
		if errors.Is(err, end) {
			return true
		}
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.Code < 500 && api.ErrorCode != CodeMaxConsumers
}
