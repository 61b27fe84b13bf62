package jetstore

import (
	"context"

	"github.com/tidemark/tidemark/internal/streamdef"

	"github.com/tidemark/tidemark/internal/jsapi"
)

// checkSuitable refuses a stream that cannot be followed before a consumer is made, which would
// delete events of a stream with another retention.
func (f *follower) checkSuitable(ctx context.Context) error {
	info, err := f.info(ctx)
	if err != nil {
		return err
	}
	return streamdef.CheckRetention(f.log.opts.Stream, info.Config.Retention)
}

func (l *Store) checkSchedules(info *jsapi.StreamInfo) {
	if info.Config.Schedules {
		l.opts.Logger.Warn(streamdef.ScheduleAdvice, "field", "allow_msg_schedules")
	}
}
