package feedhttp_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

// logbook keeps the lines of a log.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(bytes.TrimSpace(line)))
	return len(line), nil
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// await returns the one line with a message, once it is there.
func (l *logbook) await(t *testing.T, message string) map[string]any {
	t.Helper()
	for range 6000 {
		l.mu.Lock()
		for _, line := range l.lines {
			if strings.Contains(line, message) {
				defer l.mu.Unlock()
				if len(l.lines) != 1 {
					t.Errorf("not the only line: %s", strings.Join(l.lines, "\n"))
				}
				var fields map[string]any
				if err := json.Unmarshal([]byte(line), &fields); err != nil {
					t.Fatal(err)
				}
				return fields
			}
		}
		l.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%q was never logged", message)
	return nil
}

const (
	aTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	aParent = "00-" + aTrace + "-00f067aa0ba902b7-01"
)

func TestLog_ConnectionEnds_HasOneLine(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		var log logbook
		r := newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{Logger: log.logger()}})
		r.publish(3, "n.user.anna")
		r.await(t, "the tail has read it", func() bool { return r.feed.Status().High == 3 })
		s, _ := r.opened(t, "?user=anna", "Last-Event-ID", "1-e1", "traceparent", aParent)
		s.want(t, "2-e1", "3-e1")
		r.publish(1, "n.user.anna")
		s.want(t, "4-e1")
		_ = s.resp.Body.Close()
		line := log.await(t, "connection closed")
		want := map[string]any{
			"msg": "connection closed", "level": "INFO", "id": 1.0, "user": "anna", "trace_id": aTrace, "reason": "gone",
			"events": 3.0, "replayed": 2.0, "from": "1-e1", "to": "4-e1",
			"proto": map[string]string{"http1": "HTTP/1.1", "goroutine": "HTTP/1.1", "h2": "HTTP/2.0", "h2c": "HTTP/2.0"}[proto],
		}
		for name, value := range want {
			if line[name] != value {
				t.Errorf("%s is %v, want %v", name, line[name], value)
			}
		}
		if n, _ := line["bytes"].(float64); n < 100 {
			t.Errorf("bytes is %v", line["bytes"])
		}
	})
}
