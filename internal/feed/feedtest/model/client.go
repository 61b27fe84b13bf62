package model

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// client is one connection of the model. One goroutine plays it; calls that may block run in
// another, and their results are handled by the first when it collects them.
type client struct {
	w    *world
	name string
	node *node
	mode clientMode
	obs  *Observer

	ctx    context.Context
	cancel context.CancelFunc
	sub    *feed.Subscription
	busy   bool // a call is under way in another goroutine
	// before is the position from before the delivery that was received last. The subscription
	// names it until the next call, which another goroutine may be yet to make.
	before  feed.Position
	results chan func()
	woken   atomic.Bool

	untilEnd bool // it ends with feed.ErrComplete
	complete bool // it has ended so
}

// clientMode is how a client gets its events.
type clientMode uint8

const (
	polls   clientMode = iota // at any time, with Fetch where it is behind
	awaits                    // polls when it was woken, as the engine does
	blocked                   // in Next
)

// Wake implements feed.Waker.
func (c *client) Wake() { c.woken.Store(true) }

// run makes a call in another goroutine; handle gets its result in the model's goroutine.
func (c *client) run(call func() (handle func())) {
	c.busy = true
	go func() {
		handle := call()
		c.results <- func() {
			c.busy = false
			handle()
		}
	}()
}

func (c *client) collect() {
	select {
	case handle := <-c.results:
		handle()
	default:
	}
}

func (c *client) fail(call string, err error) {
	if c.ctx.Err() == nil {
		c.obs.bad("%s: %v", call, err)
	}
}

func (c *client) open(opts feed.SubscribeOptions, tryFirst bool) {
	exact := c.node.caughtUp()
	if tryFirst {
		sub, err := c.node.feed.TrySubscribe(opts)
		if err != nil {
			c.fail("TrySubscribe", err)
			return
		}
		if sub != nil {
			c.opened(sub, exact)
			return
		}
	}
	c.run(func() func() {
		sub, err := c.subscribe(opts)
		return func() {
			if err != nil {
				c.fail("Subscribe", err)
				return
			}
			c.opened(sub, exact)
		}
	})
}

// subscribe retries until there is a stream, as the HTTP handler does.
func (c *client) subscribe(opts feed.SubscribeOptions) (*feed.Subscription, error) {
	for {
		sub, err := c.node.feed.Subscribe(c.ctx, opts)
		if err == nil || c.ctx.Err() != nil || errors.Is(err, feed.ErrClosed) {
			return sub, err
		}
		select {
		case <-c.ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

// retryPause is how long a client waits for a stream that is not there.
const retryPause = 500 * time.Millisecond

func (c *client) opened(sub *feed.Subscription, exact bool) {
	c.sub = sub
	if c.mode == awaits {
		sub.Notify(c)
	}
	o := sub.StartInfo()
	c.w.note("%s is open: id %q, position %s, resumed %v, pending %d%s", c.name, o.ID, o.Position, o.Resumed, o.Pending, gapText(o.Gap))
	exact = exact && c.obs.asked == c.w.rec.tick && c.node.caughtUp()
	c.obs.open(o, exact)
	if p, err := feed.ParsePosition(o.ID); err == nil && o.Gap == nil {
		c.w.remember(place{p.Seq, p.Epoch, c.obs.at.order, c.obs.at.tick})
	}
}

// turn lets the client do one thing.
func (c *client) turn(room int) {
	if c.sub == nil {
		return
	}
	if !c.busy && c.mode != blocked {
		c.poll(room)
	}
	if !c.busy && c.mode == blocked {
		c.run(func() func() {
			d, err := c.sub.Next(c.ctx)
			at := time.Now()
			return func() {
				if errors.Is(err, feed.ErrComplete) {
					c.completed(feed.Position{})
					return
				}
				c.received("Next", d, err, at)
			}
		})
	}
}

// heartbeat looks at the position, as a heartbeat does between two deliveries.
func (c *client) heartbeat() {
	if c.sub == nil {
		return
	}
	p := c.sub.Position()
	c.w.note("%s is at %s", c.name, p)
	if p != c.before {
		c.obs.position(p)
	}
}

func (c *client) poll(room int) {
	if c.mode == awaits && !c.woken.Swap(false) {
		return
	}
	high := c.node.high()
	d, behind, err := c.sub.Poll(room)
	if errors.Is(err, feed.ErrComplete) {
		c.completed(high)
		return
	}
	c.received("Poll", d, err, time.Now())
	if behind {
		c.run(func() func() {
			d, err := c.sub.Fetch(c.ctx)
			at := time.Now()
			return func() {
				c.woken.Store(true)
				c.received("Fetch", d, err, at)
			}
		})
	} else if !d.Empty() {
		c.woken.Store(true)
	}
}

func (c *client) received(call string, d feed.Delivery, err error, at time.Time) {
	if err != nil {
		c.fail(call, err)
		return
	}
	if d.Gap != nil {
		c.w.note("%s receives%s", c.name, gapText(d.Gap))
	}
	for _, f := range d.Frames {
		id, order, _ := readFrame(f.Wire())
		c.w.note("%s receives %s (%d) on %s", c.name, id, order, f.Subject)
	}
	c.obs.delivery(d, at)
	if d.Empty() {
		return
	}
	c.before = c.sub.Position()
	if d.Gap == nil {
		if id, _, _ := readFrame(d.Frames[0].Wire()); c.before.Epoch == id.Epoch && c.before.Seq >= id.Seq {
			c.obs.bad("the position is %s while %s is not known to be sent", c.before, id)
		}
	}
}

// completed ends a connection whose subjects are all complete. high is where the node's tail was before that;
// zero where it is not known.
func (c *client) completed(high feed.Position) {
	c.w.note("%s is complete at %s", c.name, c.obs.at)
	if !c.untilEnd {
		c.obs.bad("ends as complete, and did not request that")
	}
	c.obs.complete(high)
	if high.Epoch == c.obs.at.epoch && c.w.rec.current.epoch == high.Epoch && len(c.w.rec.current.lost) == 0 {
		c.obs.passed(high.Seq, c.w.rec.order+1, "by its end")
	}
	c.complete = true
	c.w.complete++
	c.leave()
}

// high is where the tail of a node is.
func (n *node) high() feed.Position {
	st := n.feed.Status()
	return feed.Position{Seq: st.High, Epoch: st.Epoch}
}

func gapText(g *feed.Gap) string {
	if g == nil {
		return ""
	}
	return fmt.Sprintf(" gap %s: requested %s, first available %s, continues after %s", g.Reason, g.Requested, g.FirstAvailable, g.Continues)
}

// waitTimeout bounds waits for an expected event.
const waitTimeout = time.Minute

// leave ends the connection, whatever it is doing: the client went away, was revoked, or its
// token expired. All of these end the call under way and close the subscription.
func (c *client) leave() {
	c.cancel()
	if c.busy {
		select {
		case handle := <-c.results:
			handle()
		case <-time.After(waitTimeout):
			c.obs.bad("a call does not return after its context has ended")
			return
		}
	}
	if c.sub == nil {
		return
	}
	c.sub.Close()
	if d, _, err := c.sub.Poll(1 << 20); !errors.Is(err, feed.ErrClosed) || !d.Empty() {
		c.obs.bad("a closed subscription gives %+v, %v", d, err)
	}
	c.sub = nil
}

// filterSets are the filters of clients.
var filterSets = [][]string{
	nil, {">"}, {"notifications.a"}, {"notifications.a", "notifications.b"}, {"notifications.c.*"}, {"notifications.*.x"},
	{"notifications.c.*", "notifications.*.x"}, {"notifications.d.>"}, {"notifications.nobody"},
	{"notifications.d.*.1", "notifications.d.x.*", "notifications.a"},
	{"notifications.a", "notifications.a", "notifications.c.x", "notifications.c.*"},
	{"notifications.b"}, {"notifications.c.x", "notifications.b", "notifications.d.y.1"},
}

// plain reports that filters have no wildcards, so that a connection can end with their subjects.
func plain(filters []string) bool {
	return len(filters) > 0 && !slices.ContainsFunc(filters, func(f string) bool { return strings.ContainsAny(f, "*>") })
}

var subjects = []string{
	"notifications.a", "notifications.b", "notifications.c.x", "notifications.c.y", "notifications.d.x.1", "notifications.d.y.1",
}

// drawStart chooses where a client begins.
func (w *world) drawStart(rng *rand.Rand) (start, feed.Start) {
	now := time.Now()
	s := start{order: w.rec.order, tick: w.rec.tick}
	var of feed.Start
	switch n := rng.IntN(16); {
	case n < 5:
		s.kind = []string{"new", "all", "last"}[min(n, 2)]
		s.text = s.kind
		of, _ = feed.ParseFrom(s.kind, now)
	case n == 5:
		d := time.Duration(rng.IntN(3000)) * time.Millisecond
		s.kind, s.text, s.time = "time", d.String()+" ago", now.Add(-d)
		of, _ = feed.ParseFrom(d.String(), now)
	case n == 6:
		seq := 1 + rng.Uint64N(w.newest()+w.beyond())
		s.kind, s.text, s.named, s.madeUp = "seq", fmt.Sprint("sequence ", seq), feed.Position{Seq: seq - 1}, true
		of, _ = feed.ParseFrom(fmt.Sprint(seq), now)
	case n == 7:
		raw := oneOf(rng, "", "x", "-1", "1-", "1-A", "18446744073709551616", "007")
		s.kind, s.malformed, s.text = "resume", true, fmt.Sprintf("malformed %q", raw)
		of = feed.Resume(raw)
	default:
		var at place
		at, s.madeUp = w.drawPlace(rng)
		s.kind, s.named, s.order, s.tick = "resume", feed.Position{Seq: at.seq, Epoch: at.epoch}, at.order, at.tick
		s.text = "resume " + at.String()
		of = feed.Resume(at.String())
	}
	return s, of
}

// drawPlace returns a position that a client has received, or a made-up position.
func (w *world) drawPlace(rng *rand.Rand) (at place, madeUp bool) {
	if len(w.places) > 0 && rng.IntN(4) != 0 {
		return w.places[rng.IntN(len(w.places))], false
	}
	at = place{epoch: w.rec.current.epoch, order: w.rec.order, tick: w.rec.tick}
	at.seq = rng.Uint64N(w.newest() + w.beyond())
	switch rng.IntN(6) {
	case 0:
		at.epoch = ""
	case 1:
		at.epoch = "zzzzzz"
	}
	return at, true
}

// beyond is how far beyond the end positions are made up. A mirror waits for those that it has not
// reached, without end.
func (w *world) beyond() uint64 {
	if w.p.Mirror {
		return 1
	}
	return 3
}
