package feed_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/testkit"
)

// The warning has an example, and the number of messages since the last warning. It is logged at most
// once a minute.
func TestUndeliverable_LoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		r := newHarness(t, nil, feed.Options{
			Deliverable: func(subject string) bool { return strings.HasPrefix(subject, "n.") },
			Logger:      slog.New(slog.NewTextHandler(&log, nil)),
		})
		client := r.subscribe(t, feed.Start{}, ">")
		client.drain(t, r) // it is live
		warnings := func() int { return strings.Count(log.String(), "level=WARN") }
		counted := func(want uint64) {
			t.Helper()
			synctest.Wait()
			if n := r.feed.Status().Undeliverable; n != want {
				t.Errorf("%d messages are counted, want %d", n, want)
			}
		}
		r.publish(1, "other.seen") // a client receives it, whatever Deliverable returns
		r.publish(1, "n.a")
		counted(0)
		client.sub.Close()
		r.publish(3, "other.first")
		r.publish(2, "n.a")
		counted(3)
		if warnings() != 1 || !strings.Contains(log.String(), "messages=1 subject=other.first") {
			t.Errorf("the log: %s", &log)
		}
		time.Sleep(59 * time.Second)
		r.publish(1, "other.second")
		counted(4)
		if warnings() != 1 {
			t.Errorf("within the minute: %s", &log)
		}
		time.Sleep(2 * time.Second)
		r.publish(1, "other.third")
		counted(5)
		if warnings() != 2 || !strings.Contains(log.String(), "messages=4 subject=other.third") {
			t.Errorf("after the minute: %s", &log)
		}
	})
}

func TestUndeliverable_Quiet_CountedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Log
		r := newHarness(t, nil, feed.Options{
			Deliverable: func(string) bool { return false }, QuietUndeliverable: true, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		r.subscribe(t, feed.Start{}, "n.b")
		r.publish(2, "n.a")
		synctest.Wait()
		if n := r.feed.Status().Undeliverable; n != 2 || log.String() != "" {
			t.Errorf("%d messages are counted, and the log is %q", n, &log)
		}
	})
}
