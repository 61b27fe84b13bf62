package server_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/server"
)

// visit connects, and returns the first event that it receives. It leaves no socket in TIME_WAIT: ten thousand
// would take the ports of other tests.
func visit(addr string) (first string, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: %s\r\n\r\n", addr); err != nil {
		return "", err
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			return event, nil
		}
	}
	return "nothing", nil
}

// TestAbuse_Flood_HealthyClientIsServed checks that the default limits admit ten thousand clients behind one
// address, and that three times as many do not disturb the admitted ones.
func TestAbuse_Flood_HealthyClientIsServed(t *testing.T) {
	const honest, all = 10_000, 30_000
	r := newHarness(t, func(o *server.Options) {
		limits := config.Default().Limits
		o.Limits = feedhttp.Limits{Replays: limits.Replays, ConnectsBurst: limits.ConnectsBurst}
		o.Limits.ConnectsPerSecond = 1 // the burst is all there is, however long this takes
	})
	healthy := r.listen("/events?user=healthy", "")
	healthy.want("tidemark.open")
	addr := strings.TrimPrefix(r.base, "http://")
	var came, opened, turnedAway atomic.Int64
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			for n := came.Add(1); n <= all; n = came.Add(1) {
				switch first, err := visit(addr); {
				case first == "tidemark.open":
					opened.Add(1)
				case first == "tidemark.close" && n > honest:
					turnedAway.Add(1)
				default:
					t.Errorf("client %d: %q, %v", n, first, err)
					return
				}
			}
		})
	}
	for n := range 20 {
		r.publish("notifications.user.healthy", n, n)
		healthy.wantNumbers(n, n)
	}
	work.Wait()
	if opened.Load() < honest || turnedAway.Load() == 0 {
		t.Errorf("%d were admitted, %d rejected", opened.Load(), turnedAway.Load())
	}
	r.publish("notifications.user.healthy", 20, 20)
	healthy.wantNumbers(20, 20)
}
