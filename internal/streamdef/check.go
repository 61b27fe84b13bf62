package streamdef

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrUnsuitable is wrapped by the errors of [Check]: the stream cannot be followed.
var ErrUnsuitable = errors.New("recreate it with retention limits, or let a feed read another stream that sources it")

// Check reports a configuration without replay, by stream and field. A stream cannot be replayed if it
// deletes events when its consumers have received them.
func Check(cfg jetstream.StreamConfig) error { return CheckRetention(cfg.Name, cfg.Retention) }

// CheckRetention is Check for the retention of a stream.
func CheckRetention(stream string, r jetstream.RetentionPolicy) error {
	if r == jetstream.LimitsPolicy {
		return nil
	}
	return fmt.Errorf("stream %s: retention: a stream with %s retention cannot be replayed, it deletes events that its consumers have received; %w",
		stream, strings.ToLower(r.String()), ErrUnsuitable)
}

// ScheduleAdvice explains the effects of allow_msg_schedules on a feed.
const ScheduleAdvice = "the stream allows scheduled messages (allow_msg_schedules): a schedule that is stored under a subject of a feed is delivered as an event, " +
	"and a gap may be announced where the server replaces or deletes one; keep schedules in a stream of their own, whose target subjects this stream takes"
