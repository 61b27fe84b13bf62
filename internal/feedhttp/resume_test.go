package feedhttp_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/pkg/sse"
)

// traffic publishes numbered events to users, from several goroutines, and records the events that each
// user must receive.
type traffic struct {
	users, publishers, total int
	pause                    time.Duration // between bursts

	mu   sync.Mutex
	want [][]uint64 // the sequences of each user, in order
}

// run publishes everything and returns when it is stored. The last event of every user
// follows all others.
func (tr *traffic) run(log *feedtest.MemStore) {
	tr.want = make([][]uint64, tr.users)
	var left atomic.Int64
	left.Store(int64(tr.total))
	var work sync.WaitGroup
	for range tr.publishers {
		work.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				tr.publish(log, int(n)%(tr.users+1)) // one of the users has no connection
				if n%4 == 0 {
					time.Sleep(tr.pause)
				}
			}
		})
	}
	work.Wait()
	for user := range tr.users {
		tr.publish(log, user)
	}
}

func (tr *traffic) publish(log *feedtest.MemStore, user int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	seq := log.Publish(fmt.Sprintf("n.user.%d", user), "", []byte("a frame\nof two lines"))
	if user < tr.users {
		tr.want[user] = append(tr.want[user], seq)
	}
}

// cutClient is a client whose connection breaks after any number of bytes.
type cutClient struct {
	form  feedhttp.Form
	user  int
	lives int
	last  string // Last-Event-ID
	got   []uint64
}

// live is one connection, cut after n bytes or when the event last has come.
func (c *cutClient) live(r *harness, n int64, last uint64) error {
	if c.form == feedhttp.FormJSON {
		return c.poll(r, 10*n)
	}
	header := []string{"X-User", strconv.Itoa(c.user)}
	if c.last != "" {
		header = append(header, "Last-Event-ID", c.last)
	}
	s, err := r.connectForm(c.form, "?from=all", header...)
	if err != nil {
		return err
	}
	defer s.resp.Body.Close()
	c.lives++
	dec := newFormDecoder(c.form, io.LimitReader(s.resp.Body, n))
	for c.lastSeq() < last {
		ev, err := dec.Next()
		if err == io.EOF {
			break // the cut; a block in the middle of which it fell does not count
		}
		if err != nil {
			return err
		}
		if err := c.take(ev); err != nil {
			return err
		}
	}
	return nil
}

func (c *cutClient) lastSeq() uint64 {
	if len(c.got) == 0 {
		return 0
	}
	return c.got[len(c.got)-1]
}

func (c *cutClient) take(ev sse.Event) error {
	at, err := feed.ParsePosition(string(ev.ID))
	if err != nil {
		return fmt.Errorf("%s %s: %w", ev.Type, ev.Data, err)
	}
	if before, _ := feed.ParsePosition(c.last); c.last != "" && at.Seq < before.Seq {
		return fmt.Errorf("the id fell from %s to %s", c.last, ev.ID)
	}
	c.last = string(ev.ID)
	switch ev.Type {
	case "":
		c.got = append(c.got, at.Seq)
	case feedhttp.TypeGap, feedhttp.TypeClose:
		return fmt.Errorf("%s: %s", ev.Type, ev.Data)
	}
	return nil
}

// cutFeeds are ways to serve a resume: from the window, from the log, from both in turn.
var cutFeeds = map[string]setup{
	"window": {},
	"log":    {feed: feed.Options{WindowEvents: 32, MaxPending: 4}},
	"both":   {feed: feed.Options{WindowEvents: 300, MaxPending: 16}},
}

// The cuts are mostly within a frame.
func TestResume_ConnectionsCutUnderPublishing_ReceiveEachEventOnce(t *testing.T) {
	for name, with := range cutFeeds {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, proto string) {
				with := with
				with.proto, with.opts.Heartbeat = proto, 2*time.Millisecond
				with.log = feedtest.NewMemStore()
				with.log.ReadBatch = 50
				cutAnywhere(t, newHarness(t, with), feedhttp.FormSSE)
			})
		})
	}
}

func cutAnywhere(t *testing.T, r *harness, form feedhttp.Form) {
	tr := &traffic{users: 3, publishers: 3, total: 1500, pause: 200 * time.Microsecond}
	published := make(chan struct{})
	go func() {
		defer close(published)
		tr.run(r.MemStore)
	}()
	var work sync.WaitGroup
	var lives atomic.Int64
	for n := range 2 * tr.users {
		work.Go(func() {
			c := &cutClient{form: form, user: n % tr.users}
			if err := c.untilLast(r, tr, published); err != nil {
				t.Errorf("client %d, after %d lives and %d events: %v", n, c.lives, len(c.got), err)
				return
			}
			lives.Add(int64(c.lives))
			equal(t, fmt.Sprintf("client %d in %d lives", n, c.lives), c.got, tr.want[c.user])
		})
	}
	work.Wait()
	if n := lives.Load(); n < 200 {
		t.Errorf("only %d connections", n)
	}
}

func (c *cutClient) untilLast(r *harness, tr *traffic, published <-chan struct{}) error {
	for {
		last := ^uint64(0)
		select {
		case <-published:
			last = tr.want[c.user][len(tr.want[c.user])-1]
		default:
		}
		if c.lastSeq() >= last {
			return nil
		}
		if err := c.live(r, 1+rand.Int64N(600), last); err != nil {
			return err
		}
	}
}

// It records every id of a connection, of events and of positions while other subjects are busy, and
// resumes with each: the events after it must follow, and no others.
func TestResume_EachID_ContinuesAfterIt(t *testing.T) {
	for name, with := range cutFeeds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with.proto, with.opts.Heartbeat = "h2c", time.Millisecond
			with.log = feedtest.NewMemStore()
			with.log.ReadBatch = 50
			everyIDResumes(t, newHarness(t, with))
		})
	}
}

// mark is an id, and how many events the client had when it was named.
type mark struct {
	id string
	n  int
}

func everyIDResumes(t *testing.T, r *harness) {
	tr := &traffic{users: 2, publishers: 4, total: 900, pause: 3 * time.Millisecond}
	marks := make([][]mark, 2*tr.users)
	var work sync.WaitGroup
	ended := make(chan struct{})
	for n := range marks {
		c := &cutClient{user: n % tr.users}
		s, _ := r.opened(t, "?heartbeat=event", "X-User", strconv.Itoa(c.user))
		work.Go(func() {
			defer s.resp.Body.Close()
			for {
				ev, err := s.Next()
				if err == nil {
					err = c.take(ev)
				}
				if err != nil {
					t.Errorf("client %d: %v", n, err)
					return
				}
				if m := (mark{c.last, len(c.got)}); len(marks[n]) == 0 || marks[n][len(marks[n])-1] != m {
					marks[n] = append(marks[n], m)
				}
				select {
				case <-ended:
					if len(c.got) >= len(tr.want[c.user]) {
						equal(t, fmt.Sprintf("client %d", n), c.got, tr.want[c.user])
						return
					}
				default:
				}
			}
		})
	}
	tr.run(r.MemStore)
	close(ended)
	work.Wait()
	positions := 0
	for n, all := range marks {
		user := n % tr.users
		for i := len(all) - 1; i >= 0; i -= 1 + len(all)/60 {
			if all[i].n < len(tr.want[user]) {
				resumesAfter(t, r, user, all[i], tr.want[user][all[i].n:])
			}
		}
		positions += len(all) - len(tr.want[user])
	}
	if positions < 5 {
		t.Errorf("only %d positions were told between events: the test tests little", positions)
	}
}

func resumesAfter(t *testing.T, r *harness, user int, m mark, want []uint64) {
	t.Helper()
	c := &cutClient{user: user, last: m.id}
	if err := c.live(r, 1<<30, want[len(want)-1]); err != nil {
		t.Errorf("resumed after %s: %v", m.id, err)
	}
	equal(t, "resumed after "+m.id, c.got, want)
}

// Its last event is gone from the stream.
func TestResume_PositionOfAHeartbeat_SurvivesRetention(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		with := beating(proto)
		with.feed.WindowEvents = 4
		r := newHarness(t, with)
		s, _ := r.opened(t, "")
		r.publish(1, "n.all")
		s.want(t, "1-e1")
		r.publish(50, "n.others")
		for s.LastEventID() != "51-e1" {
			s.next(t)
		}
		s.resp.Body.Close()
		r.publish(3, "n.all")
		r.publish(10, "n.others")
		r.Trim(52)
		back, open := r.opened(t, "", "Last-Event-ID", s.LastEventID())
		if !open.Resumed || open.Position != "51-e1" {
			t.Errorf("%+v", open)
		}
		back.want(t, ids("e1", 52, 54)...)
	})
}

func TestHTTP2_ManyConnectionsOnOneSocket_AllAreLive(t *testing.T) {
	r := newHarness(t, setup{proto: "h2"})
	var streams []*stream
	for n := range 8 {
		s, _ := r.opened(t, "?only=1&subject=n.topic."+strconv.Itoa(n))
		streams = append(streams, s)
	}
	for round := range 3 {
		for n := range streams {
			r.Publish("n.topic."+strconv.Itoa(n), "", []byte(strings.Repeat(strconv.Itoa(n), 100)))
		}
		for n, s := range streams {
			s.want(t, fmt.Sprintf("%d-e1", round*8+n+1))
		}
	}
}
