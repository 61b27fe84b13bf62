package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// world is one history under way.
type world struct {
	p     Profile
	kind  Kind
	store Store
	rec   *Record
	gates *gates
	nodes []*node

	clients []*client
	opened  int
	places  []place // positions to resume from
	missing bool    // there is no stream
	origin  []queued

	step       int
	trace      []string
	violations []string
	delivered  int
	complete   int // connections that ended with their subjects
	gaps       map[feed.Reason]int
}

// queued is an event that the origin of a mirror has stored, and the mirror has not.
type queued struct {
	subject string
	size    int
	end     bool
}

// node is one feed over the stream.
type node struct {
	w     *world
	id    int
	store *gatedStore
	feed  *feed.Feed
	down  bool

	stop  context.CancelFunc
	ended chan error
	err   error
	gone  bool
}

// play runs a history and returns the violations.
func play(t *testing.T, kind Kind, p Profile, ops []op) *world {
	w := &world{p: p, kind: kind, store: kind.Open(t, p), gates: &gates{open: !p.Gated}, gaps: map[feed.Reason]int{}}
	w.rec = newRecord(w.store.Epoch())
	w.rec.copied = p.Mirror
	w.note("%s", p)
	rng := rand.New(rand.NewPCG(p.Seed, 3)) //nolint:gosec // a seed reproduces it
	for range rng.IntN(12) {
		w.publish(rng)
	}
	if p.Deletions && rng.IntN(2) == 0 {
		w.delete(rng)
	}
	if p.Retention && rng.IntN(3) == 0 {
		w.trim(rng)
	}
	for i := range p.Nodes {
		w.startNode(i)
	}
	w.settle()
	for _, o := range ops {
		w.step++
		w.apply(o)
		w.settle()
		if len(w.violations) > 0 {
			break
		}
	}
	w.end()
	return w
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%4d %4d  ", w.step, w.tick())+fmt.Sprintf(format, args...))
}

func (w *world) tick() int {
	if w.rec == nil {
		return 0
	}
	return w.rec.tick
}

func (w *world) bad(violation string) {
	w.note("VIOLATION %s", violation)
	w.violations = append(w.violations, violation)
}

func (w *world) remember(at place) {
	w.places = append(w.places, at)
	if len(w.places) > 40 { // the most recent ones, for the most part
		w.places = slices.Delete(w.places, 5, 6)
	}
}

func (w *world) startNode(i int) {
	n := &node{w: w, id: i, store: &gatedStore{Store: w.store.NodeStore(i), gates: w.gates}, ended: make(chan error, 1)}
	n.feed = feed.New(n.store, w.p.Feed)
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	go func() { n.ended <- n.feed.Run(ctx) }()
	w.nodes = append(w.nodes, n)
}

// settle lets everything happen that can, and handles the result.
func (w *world) settle() {
	w.store.Settle()
	for _, c := range w.clients {
		c.collect()
	}
	for _, n := range w.nodes {
		n.alive()
	}
}

// alive checks that the feed still runs.
func (n *node) alive() {
	select {
	case n.err = <-n.ended:
		n.gone = true
		n.w.bad(fmt.Sprintf("node %d: the feed has ended: %v", n.id, n.err))
	default:
	}
}

// caughtUp reports that the node has read all that is stored, and reaches the stream. Where the stream
// lost its end and has grown again, sequences do not show that, so that it reports false.
func (n *node) caughtUp() bool {
	if n.w.p.Gated || n.down || n.w.missing || len(n.w.rec.current.lost) > 0 {
		return false
	}
	st := n.feed.Status()
	return st.Epoch == n.w.rec.current.epoch && st.High == n.w.rec.current.last
}

// seen is up to where each node's tail has read the present line, and so notices what replaces it.
// At a deleted event the feed may follow from another place, and forget what it had read.
func (w *world) seen() map[int]uint64 {
	seen := map[int]uint64{}
	for _, n := range w.nodes {
		if st := n.feed.Status(); st.Epoch == w.rec.current.epoch {
			at := min(st.High, n.store.followed.Load())
			if !w.rec.current.holeBehind(at) {
				seen[n.id] = at
			}
		}
	}
	return seen
}

// apply carries out one operation.
func (w *world) apply(o op) {
	rng := rand.New(rand.NewPCG(o.seed, 4)) //nolint:gosec // a seed reproduces it
	switch o.kind {
	case opTurn:
		w.turn(rng)
		return
	case opOpen:
		w.openClient(rng)
		return
	case opLeave:
		w.leaveClient(rng)
		return
	case opRelease:
		for range 1 + rng.IntN(8) {
			if name := w.gates.release(rng.IntN(1000)); name != "" {
				w.note("let go: %s", name)
			}
			w.settle()
		}
		return
	case opReach:
		w.reach(w.nodes[rng.IntN(len(w.nodes))])
		return
	case opDisturb:
		if what := w.store.Disturb(rng.IntN(1000)); what != "" {
			w.note("%s", what)
			w.disturbed()
		}
		return
	case opPause:
		w.pause(time.Duration(oneOf(rng, rng.IntN(600), rng.IntN(600), rng.IntN(5000))) * time.Millisecond)
		return
	}
	if o.kind == opMissing {
		w.replace()
		return
	}
	if !w.missing {
		w.change(o.kind, rng)
	}
}

// pause lets time pass, which is scarce outside of a bubble.
func (w *world) pause(d time.Duration) {
	if w.kind.Bubble == nil {
		d /= 10
	}
	time.Sleep(d)
	w.note("%s pass", d)
}

func (w *world) reach(n *node) {
	n.down = !n.down
	w.note("node %d reaches the stream: %v", n.id, !n.down)
	w.store.SetReachable(n.id, !n.down)
	w.disturbed()
}

// disturbed notes that the nodes may be late with what happens to the stream: for as long as one of them
// cannot reach it, and from now on.
func (w *world) disturbed() {
	w.rec.disturbed = time.Now()
	if slices.ContainsFunc(w.nodes, func(n *node) bool { return n.down }) {
		w.rec.disturbed = time.Now().Add(365 * 24 * time.Hour)
	}
}

func (w *world) turn(rng *rand.Rand) {
	if len(w.clients) == 0 {
		return
	}
	for range 1 + rng.IntN(3) {
		c := w.clients[rng.IntN(len(w.clients))]
		c.turn(oneOf(rng, 1, 500, 2000, 1<<20))
		if rng.IntN(3) == 0 {
			c.heartbeat()
		}
		w.settle()
	}
}

func (w *world) openClient(rng *rand.Rand) {
	if len(w.clients) >= 5 {
		return
	}
	w.opened++
	n := w.nodes[rng.IntN(len(w.nodes))]
	st, of := w.drawStart(rng)
	st.noticed = w.noticed(n)
	c := &client{
		w: w, name: fmt.Sprint("client ", w.opened), node: n, mode: clientMode(rng.IntN(3)), results: make(chan func(), 1), //nolint:gosec // below 3
	}
	c.obs = &Observer{
		rec: w.rec, node: n.id, filters: oneOf(rng, filterSets...), start: st, asked: w.rec.tick, seen: map[int]uint64{}, reasons: map[feed.Reason]int{},
		removedWithin: w.kind.RemovedWithin,
		report:        func(v string) { w.bad(c.name + ": " + v) }, reached: w.remember,
	}
	if w.p.Gated {
		c.obs.removedWithin = 0
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	fromStore, try := rng.IntN(3) == 0, rng.IntN(3) == 0
	w.note("%s opens on node %d: %s, filters %v, from the store %v, mode %d", c.name, n.id, st, c.obs.filters, fromStore, c.mode)
	if c.untilEnd = plain(c.obs.filters) && rng.IntN(3) != 0; c.untilEnd {
		w.note("%s ends with its subjects", c.name)
		if c.behindEnds(of) {
			return
		}
	}
	w.clients = append(w.clients, c)
	c.open(feed.SubscribeOptions{Filters: c.obs.filters, Start: of, ReplayFromStore: fromStore, UntilEnd: c.untilEnd}, try)
}

// noticed is the tick of the latest change of the incarnation that a node is known to have
// noticed.
func (w *world) noticed(n *node) int {
	known := int(n.feed.Status().Losses[feed.NewEpoch]) //nolint:gosec // a count
	tick := 0
	for _, at := range w.rec.births {
		if known--; known >= 0 {
			tick = at
		}
	}
	return tick
}

func (w *world) leaveClient(rng *rand.Rand) {
	if len(w.clients) == 0 {
		return
	}
	i := rng.IntN(len(w.clients))
	c := w.clients[i]
	w.note("%s %s", c.name, oneOf(rng, "leaves", "is revoked", "expires"))
	w.finish(c)
	w.clients = slices.Delete(w.clients, i, i+1)
}

func (w *world) finish(c *client) {
	c.leave()
	w.delivered += c.obs.delivered
	for why, n := range c.obs.reasons {
		w.gaps[why] += n
	}
}
