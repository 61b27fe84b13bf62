package feedhttp_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// BenchmarkStream publishes from one goroutine to 100 clients over the loopback, of which
// each gets everything. An operation is one event at one client.
func BenchmarkStream(b *testing.B) {
	for _, proto := range []string{"http1", "h2c"} {
		b.Run(proto, func(b *testing.B) {
			const clients = 100
			r := newRig(b, setup{proto: proto})
			var received atomic.Int64
			var work sync.WaitGroup
			events := max(1, b.N/clients)
			payload := []byte(`{"text":"a notification of the usual size, some hundred bytes of JSON","n":12345,"read":false}`)
			for range clients {
				s, _ := r.opened(b, "")
				work.Go(func() {
					n := 0
					for ; n < events; n++ {
						if _, err := s.Next(); err != nil {
							b.Errorf("after %d events: %v", n, err)
							return
						}
					}
					received.Add(int64(n))
				})
			}
			b.SetBytes(int64(len("data: \nid: 12345-e1\n\n") + len(payload)))
			b.ResetTimer()
			publishAll(r.MemStore, events, payload)
			work.Wait()
			b.StopTimer()
			b.ReportMetric(float64(received.Load())/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

func publishAll(log *feedtest.MemStore, n int, payload []byte) {
	for range n {
		log.Publish("n.all", "", payload)
	}
}
