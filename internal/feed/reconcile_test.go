package feed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/subject"
)

// followLimit is how long after its deletion an event may still be sent.
const followLimit = 2 * time.Second

// history is one random life of a stream and its clients.
type history struct {
	*harness
	t       *testing.T
	random  *rand.Rand
	limits  feedtest.Limits
	stored  map[uint64]string    // every event that was ever stored, by its subject
	gone    map[uint64]time.Time // when it was removed, as found at the next check
	clients []*reader
}

// reader is a client that checks what it receives.
type reader struct {
	*client
	filter   string
	from     uint64
	received map[uint64]bool
}

// TestWindow_RandomDeletions_FollowsStream publishes and deletes at random, in every way in which a
// stream loses events, while clients read now and then. No client may receive an event two seconds
// after its deletion, and no client may miss an event without a gap. In the end the window has the
// same events as the stream.
func TestWindow_RandomDeletions_FollowsStream(t *testing.T) {
	histories := 150
	if testing.Short() {
		histories = 30
	}
	for seed := range histories {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runHistory(t, uint64(seed)) })
		})
		if t.Failed() {
			return
		}
	}
}

func runHistory(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 13))
	store := feedtest.NewMemStore()
	h := &history{t: t, random: random, stored: map[uint64]string{}, gone: map[uint64]time.Time{}}
	limits := feedtest.Limits{Late: time.Duration(random.IntN(1200)) * time.Millisecond}
	if random.IntN(2) == 0 {
		limits.MaxPerSubject = 1 + random.IntN(3)
	}
	if random.IntN(4) == 0 {
		limits.MaxAge = time.Duration(2+random.IntN(8)) * time.Second
	}
	store.SetLimits(limits)
	h.limits = limits
	opts := feed.Options{WindowEvents: 5 + random.IntN(60), MaxPending: 1 + random.IntN(10), NoPreload: random.IntN(3) == 0}
	h.harness = &harness{MemStore: store}
	for range random.IntN(40) {
		h.change()
	}
	h.harness = newHarness(t, store, opts)
	<-h.feed.Ready()
	for range 150 {
		h.change()
		h.noteDeleted()
		switch random.IntN(4) {
		case 0:
			h.connect()
		case 1:
			h.read()
		}
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		h.noteDeleted()
	}
	h.settle()
}

func (h *history) publish() {
	subject := fmt.Sprint("n.", string(rune('a'+h.random.IntN(6))))
	var lifetime time.Duration
	if h.random.IntN(8) == 0 {
		lifetime = time.Duration(1+h.random.IntN(5)) * time.Second
	}
	h.stored[h.PublishFor(lifetime, subject, "", nil)] = subject
}

func (h *history) change() {
	switch n := h.random.IntN(40); {
	case n < 30:
		for range 1 + h.random.IntN(4) {
			h.publish()
		}
	case n < 36:
		if last := len(h.stored); last > 0 {
			h.Delete(uint64(1 + h.random.IntN(last)))
		}
	case n < 37:
		if last := len(h.stored); last > 0 {
			h.Trim(uint64(1 + max(last-h.random.IntN(50), 0)))
		}
	case n < 38: // a purge of a subject
		subject := fmt.Sprint("n.", string(rune('a'+h.random.IntN(6))))
		for seq, of := range h.stored {
			if of == subject {
				h.Delete(seq)
			}
		}
	}
}

// now returns the sequences in the stream.
func (h *history) now() map[uint64]bool {
	reader, err := h.Read(context.Background(), feed.ReadOptions{From: 1, To: 1 << 60})
	if err != nil {
		h.t.Fatal(err)
	}
	defer reader.Close()
	has := map[uint64]bool{}
	for {
		batch, err := reader.Next(context.Background())
		for _, ev := range batch.Events {
			if ev.Expires.IsZero() || time.Now().Before(ev.Expires) { // otherwise the stream expires it late
				has[ev.Seq] = true
			}
		}
		if err != nil {
			return has
		}
	}
}

// noteDeleted records the events that were deleted.
func (h *history) noteDeleted() {
	has := h.now()
	for seq := range h.stored {
		if _, known := h.gone[seq]; !known && !has[seq] {
			h.gone[seq] = time.Now()
		}
	}
}

func (h *history) connect() {
	if len(h.clients) >= 6 {
		return
	}
	filter := []string{"n.a", "n.b", "n.>", "n.*"}[h.random.IntN(4)]
	from := uint64(h.random.IntN(len(h.stored) + 1))
	c := h.subscribe(h.t, feed.Resume(fmt.Sprint(from)), filter)
	h.clients = append(h.clients, &reader{client: c, filter: filter, from: from, received: map[uint64]bool{}})
}

// read lets a random client take one step.
func (h *history) read() {
	if len(h.clients) > 0 {
		h.step(h.clients[h.random.IntN(len(h.clients))])
	}
}

func (h *history) step(c *reader) (more bool) {
	d, behind, err := c.sub.Poll(1 + h.random.IntN(2000))
	if behind {
		d, err = c.sub.Fetch(h.ctx)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range d.Frames {
		c.received[f.Seq] = true
		if at, gone := h.gone[f.Seq]; gone && time.Since(at) > followLimit {
			h.t.Errorf("event %d was sent %v after its deletion", f.Seq, time.Since(at))
		}
	}
	c.record(d)
	return behind || !d.Empty()
}

// settle waits until all clients are idle, and compares.
func (h *history) settle() {
	for range 6 {
		time.Sleep(time.Second)
		h.noteDeleted()
		for _, c := range h.clients {
			for h.step(c) {
			}
		}
	}
	synctest.Wait()
	has := h.now()
	low, seqs := h.feed.WindowSeqs()
	for _, seq := range seqs {
		if !has[seq] {
			h.t.Errorf("the window holds %d, which the stream does not", seq)
		}
	}
	for seq := range has {
		if seq > low && !slices.Contains(seqs, seq) {
			h.t.Errorf("the window begins after %d and lacks %d", low, seq)
		}
	}
	for _, c := range h.clients {
		h.compare(c, has)
	}
}

// compare checks that a client missed no event without a gap, and no stored event at all.
func (h *history) compare(c *reader, has map[uint64]bool) {
	if !slices.IsSorted(c.seqs) || len(c.received) != len(c.seqs) {
		h.t.Errorf("a client of %s received %v", c.filter, c.log)
	}
	for seq, subj := range h.stored {
		if seq <= c.from || c.received[seq] || !subject.Matches(c.filter, subj) {
			continue
		}
		if has[seq] && h.limits.MaxPerSubject < 2 { // else see window.supersede
			h.t.Errorf("a client of %s from %d misses %d, which is stored: %v", c.filter, c.from, seq, c.log)
		}
		if len(c.gaps) == 0 {
			h.t.Errorf("a client of %s from %d misses %d without a gap: %v", c.filter, c.from, seq, c.log)
		}
	}
}
