package model

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// end lets everything calm down, checks that each client catches up, and stops the nodes.
func (w *world) end() {
	w.step++
	w.note("calm: gates open, nodes reach the stream, every subject gets one more event")
	w.gates.openAll()
	for _, n := range w.nodes {
		if n.down {
			w.reach(n)
		}
	}
	if w.missing {
		w.replace()
	}
	w.copyMore(len(w.origin))
	if len(w.violations) == 0 {
		w.settle()
		rng := rand.New(rand.NewPCG(w.p.Seed, 6)) //nolint:gosec // a seed reproduces it
		for _, subject := range subjects {
			w.publishOn(subject, 0, rng.IntN(2) == 0)
		}
		w.catchUp()
	}
	for _, c := range w.clients {
		w.finish(c)
	}
	w.stopNodes()
	if leaks := w.store.Leaks(); leaks != "" && len(w.violations) == 0 {
		w.bad(leaks)
	}
}

// catchUp gives every client all that it takes, and fails those for which nothing helps.
func (w *world) catchUp() {
	for range 2 { // any event after the end would be too much
		for begun := time.Now(); ; w.store.Calm() {
			behind := w.round()
			if len(w.violations) > 0 {
				return
			}
			if behind == "" {
				break
			}
			if time.Since(begun) > waitTimeout {
				w.bad("calm: " + behind)
				return
			}
		}
		w.store.Calm()
	}
	for _, c := range w.clients {
		if !c.complete {
			c.obs.end(c.sub.Position())
		}
	}
}

// round turns every client until none receives more, and returns those that have not caught up.
func (w *world) round() (behind string) {
	w.settle()
	for before := -1; before != w.received(); {
		before = w.received()
		for _, c := range w.clients {
			for range 8 {
				c.turn(1 << 20)
				w.settle()
			}
		}
	}
	for _, n := range w.nodes {
		n.down = false
		if st := n.feed.Status(); st.Epoch != w.rec.current.epoch || st.High != w.rec.current.last || st.Lost != nil {
			return fmt.Sprintf("node %d is at %d-%s (lost: %v), the stream at %d-%s", n.id, st.High, st.Epoch, st.Lost, w.rec.current.last, w.rec.current.epoch)
		}
	}
	for _, c := range w.clients {
		if behind := c.behind(); behind != "" {
			return behind
		}
	}
	return ""
}

func (w *world) received() (n int) {
	for _, c := range w.clients {
		n += c.obs.delivered + len(c.obs.gaps)
	}
	return n
}

// behind names the event that a client waits for; empty when it is caught up.
func (c *client) behind() string {
	switch {
	case c.complete:
		return ""
	case c.sub == nil:
		return c.name + " is not open"
	case c.sub.State() != feed.Live:
		return fmt.Sprintf("%s at %s is %s", c.name, c.obs.at, c.sub.State())
	case c.busy && c.mode != blocked:
		return c.name + " is still busy"
	}
	if c.untilEnd && c.w.rec.allComplete(c.obs.filters) {
		return c.name + " has not ended, and all of its subjects are complete"
	}
	at, l := c.sub.Position(), c.w.rec.current
	if at.Epoch != l.epoch || at.Seq < l.last {
		return fmt.Sprintf("%s has the position %s, the stream is at %d-%s", c.name, at, l.last, l.epoch)
	}
	return ""
}

func (w *world) stopNodes() {
	for _, n := range w.nodes {
		n.stop()
	}
	for _, n := range w.nodes {
		if n.gone {
			continue
		}
		select {
		case n.err = <-n.ended:
		case <-time.After(waitTimeout):
			w.bad(fmt.Sprintf("node %d: the feed does not stop", n.id))
		}
	}
}
