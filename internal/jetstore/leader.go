package jetstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/streamdef"
)

// leader sends requests to the leader of the stream. Direct gets are not used, because a replica that
// lags may answer them.
type leader struct {
	api     jsapi.Client
	stream  string
	log     *slog.Logger
	retries logLimiter
	limits  consumerLimits // of the last answer

	ctx context.Context // of requests that outlive their caller; ends when the Store is closed
}

// infoOp is the request for the state of the stream.
func (l *leader) infoOp() string { return "STREAM.INFO." + l.stream }

// info requests the state of the stream once.
func (l *leader) info(ctx context.Context) (*jsapi.StreamInfo, error) {
	var resp jsapi.StreamInfo
	err := l.api.Request(ctx, l.infoOp(), nil, &resp)
	if err == nil {
		l.limits.set(&resp)
	}
	return &resp, err
}

// msgQuery requests one stored message: the first at or after Seq or StartTime that matches
// NextFor, the one at Seq, or the latest that matches LastFor.
type msgQuery struct {
	Seq       uint64     `json:"seq,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
}

type storedMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
}

// get requests a message until the leader answers.
func (l *leader) get(ctx context.Context, query msgQuery) (msg storedMsg, found bool, err error) {
	err = l.retry(ctx, func() (err error) {
		msg, found, err = l.getOnce(ctx, query)
		return err
	})
	return msg, found, err
}

func (l *leader) getOnce(ctx context.Context, query msgQuery) (msg storedMsg, found bool, err error) {
	var resp struct {
		jsapi.Failure
		Message storedMsg `json:"message"`
	}
	err = l.api.Request(ctx, "STREAM.MSG.GET."+l.stream, query, &resp)
	if jsapi.IsError(err, jsapi.CodeNoMessage) {
		return storedMsg{}, false, nil
	}
	return resp.Message, err == nil, err
}

// retry calls try until it succeeds, fails permanently, or ctx ends.
func (l *leader) retry(ctx context.Context, try func() error) error {
	for attempt := 0; ; attempt++ {
		changed := l.api.Watcher.Changed()
		if err := l.api.Watcher.Err(); err != nil {
			return err
		}
		err := try()
		if err == nil || permanent(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.logRetry(err)
		if err := backoff.Pause(ctx, backoff.Delay(attempt), changed); err != nil {
			return err
		}
	}
}

// permanent reports that another attempt would fail in the same way.
func permanent(err error) bool { return errors.Is(err, ErrClosed) || jsapi.Permanent(err) }

// logRetry logs that a request is retried, at a limited rate. It logs nothing without a connection, because
// natsconn logs that once.
func (l *leader) logRetry(err error) {
	if natsconn.NotConnected(err) {
		return
	}
	if n, ok := l.retries.allow(); ok {
		l.log.Warn("jetstream: request failed; retrying", "error", err, "times", n)
	}
}

// explainRefusal returns why the server does not create a consumer, where the reason is the kind of
// stream: the server's own error names an option that the caller cannot see.
func (l *leader) explainRefusal(ctx context.Context, cause error) error {
	info, err := l.info(ctx)
	if err != nil {
		return cause
	}
	if err := streamdef.CheckRetention(l.stream, info.Config.Retention); err != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return cause
}

// logAdvice reports settings of the stream that affect what clients receive. It is called once per tail.
func (l *leader) logAdvice(info *jsapi.StreamInfo) {
	if info.Config.Mirror != nil && !streamdef.SharesEpoch(info.Config.Metadata) {
		l.log.Warn("jetstream: stream is a mirror without tidemark.epoch; clients that move between it and its origin receive a gap",
			"origin", info.Config.Mirror.Name, "remedy", "set tidemark.epoch to the same value in the metadata of both")
	}
	if info.Config.Schedules {
		l.log.Warn("jetstream: stream allows scheduled messages; clients may receive schedules as events, and gaps",
			"field", "allow_msg_schedules", "remedy", "keep schedules in a stream of their own")
	}
}

// deletedDetails requests the state of the stream with the list of its deleted sequences.
var deletedDetails = json.RawMessage(`{"deleted_details":true}`)
