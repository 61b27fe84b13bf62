// Package tidemarktest has feeds of streams in memory, for tests of programs that embed
// [github.com/tidemark/tidemark/pkg/tidemark].
//
//	f := tidemarktest.New(t, tidemark.Options{Subjects: []string{"news.all", "news.user.{user}"}, Identify: users})
//	srv := httptest.NewServer(yourMux(f.Feed)) // or f.Client(), without sockets
//	f.Publish(ctx, tidemark.Message{Subject: "news.all", Data: []byte("hi")})
//
// The feed, its HTTP handler and their guarantees are those of production; only the stream is in memory. It
// accepts every subject of the options, stores events without a limit, and can simulate JetStream at bad moments:
// trim, delete, disappear, be replaced.
//
// # Time
//
// There is no clock to set: use testing/synctest. In a bubble heartbeats, MaxAge, limits per second and reconnect
// delays pass at once, and [Feed.Client] needs no socket, which a bubble cannot wait for. Call New within the
// bubble.
package tidemarktest

import (
	"testing"

	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/testopen"
	"github.com/tidemark/tidemark/pkg/tidemark"
)

// Feed is a feed of a stream in memory. Pass the embedded Feed to the program under test.
type Feed struct {
	*tidemark.Feed
	log    *feedtest.MemStore
	memory memory
}

// New opens a feed, and closes it when the test has ended. Options are those of [tidemark.Open], but for
// those about NATS, which do nothing; Stream is TEST when empty. It fails the test for options that
// Open would refuse.
func New(tb testing.TB, opts tidemark.Options) *Feed {
	tb.Helper()
	if opts.Stream == "" {
		opts.Stream = "TEST"
	}
	log := feedtest.NewMemStore()
	log.ReadBatch = 1024
	opened, err := testopen.Feed(log, &publisher{log: log, stream: opts.Stream}, opts)
	if err != nil {
		tb.Fatal(err)
	}
	f := &Feed{Feed: opened.(*tidemark.Feed), log: log}
	tb.Cleanup(func() {
		f.Close()
		f.memory.close()
	})
	return f
}

// Trim deletes all events before a sequence, as retention does. Clients that have not received them
// receive tidemark.gap with the reason trimmed.
func (f *Feed) Trim(first uint64) { f.log.Trim(first) }

// Delete deletes one event. Clients that have received it receive no gap. Others may receive one with the reason
// possible.
func (f *Feed) Delete(seq uint64) { f.log.Delete(seq) }

// Recreate replaces the stream with an empty one: clients receive tidemark.gap with the reason
// epoch, and positions begin again.
func (f *Feed) Recreate() { f.log.Recreate() }

// SetDown makes the stream unreachable, for the given reason, until SetDown(nil). Connections stay open, and
// Publish fails with [tidemark.ErrUnavailable].
func (f *Feed) SetDown(why error) { f.log.SetDown(why) }
