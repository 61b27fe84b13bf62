package jetstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// errUnsuitable is a stream that cannot be followed as it is configured.
var errUnsuitable = errors.New("recreate it with retention limits, or let a feed read another stream that sources it")

// CheckStream reports a configuration that no Log can follow, by stream and field: of a stream that
// deletes events once its consumers have them, nothing can be replayed.
func CheckStream(cfg jetstream.StreamConfig) error { return checkRetention(cfg.Name, cfg.Retention) }

func checkRetention(stream string, r jetstream.RetentionPolicy) error {
	if r == jetstream.LimitsPolicy {
		return nil
	}
	return fmt.Errorf("stream %s: retention: a stream with %s retention cannot be replayed, it deletes events that its consumers have received; %w",
		stream, strings.ToLower(r.String()), errUnsuitable)
}

// ScheduleAdvice explains what a feed does with a stream that has allow_msg_schedules.
const ScheduleAdvice = "the stream allows scheduled messages (allow_msg_schedules): a schedule that is stored under a subject of a feed is delivered as an event, " +
	"and a gap may be announced where the server replaces or deletes one; keep schedules in a stream of their own, whose target subjects this stream takes"

// checkSuitable refuses a stream that cannot be followed before a consumer is made, which would
// delete events of a stream with another retention.
func (f *follower) checkSuitable(ctx context.Context) error {
	info, err := f.info(ctx)
	if err != nil {
		return err
	}
	return checkRetention(f.log.opts.Stream, info.Config.Retention)
}

func (l *Store) checkSchedules(info *streamInfo) {
	if info.Config.Schedules {
		l.opts.Logger.Warn(ScheduleAdvice, "field", "allow_msg_schedules")
	}
}
