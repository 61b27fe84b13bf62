package model

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/tidemark/tidemark/internal/feed"
)

// Profile has the parameters of a history. Few histories have every kind of event: one kind may hide the
// failure of another.
type Profile struct {
	Seed  uint64
	Feed  feed.Options
	Nodes int
	// Gated holds the calls of the store until the history releases them.
	Gated bool
	// ReadBatch is how many events a replay reads at a time, about.
	ReadBatch int
	// ChosenEpoch gives the stream a tidemark.epoch, which every incarnation keeps.
	ChosenEpoch bool
	// Rollback loses the end of the stream within an incarnation; Restore makes a new
	// incarnation out of a backup.
	Rollback, Restore bool
	// Retention trims the front, Deletions take events out of the inside.
	Retention, Deletions bool
	// Recreate replaces the stream, Missing leaves a time without one in between.
	Recreate, Missing bool
	// Outages cut nodes off, Disturb loses consumers and the like.
	Outages, Disturb bool
	// Mirror makes the stream a copy that lags behind its origin: clients come with positions that it
	// has not reached. Its incarnation does not change.
	Mirror bool
	// Large is the size of the largest events in bytes.
	Large int
}

func oneOf[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }

func newProfile(seed uint64) Profile {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a seed reproduces it
	often := func() bool { return rng.IntN(3) != 0 }
	seldom := func() bool { return rng.IntN(3) == 0 }
	p := Profile{
		Seed: seed,
		Feed: feed.Options{
			WindowEvents: oneOf(rng, 0, 1, 2, 3, 8, 100), WindowBytes: oneOf(rng, 0, 1, 600, 1<<20),
			MaxPending: oneOf(rng, 0, 1, 2, 3, 100), MaxPendingBytes: oneOf(rng, 0, 1, 700, 1<<20),
			NoPreload: seldom(),
		},
		Nodes: oneOf(rng, 1, 1, 2), Gated: often(), ReadBatch: 1 + rng.IntN(5),
		ChosenEpoch: seldom(), Rollback: seldom(), Restore: seldom(),
		Retention: often(), Deletions: often(), Recreate: seldom(), Missing: seldom(),
		Outages: often(), Disturb: often(), Large: oneOf(rng, 0, 50, 1000),
	}
	if rand.New(rand.NewPCG(seed, 5)).IntN(8) == 0 { //nolint:gosec // a seed reproduces it
		p.Mirror = true
		p.ChosenEpoch, p.Rollback, p.Restore, p.Recreate, p.Missing = true, false, false, false, false
	}
	return p
}

func (p Profile) String() string {
	var on []string
	add := func(name string, is bool) {
		if is {
			on = append(on, name)
		}
	}
	add("gated", p.Gated)
	add("chosen epoch", p.ChosenEpoch)
	add("rollback", p.Rollback)
	add("restore", p.Restore)
	add("retention", p.Retention)
	add("deletions", p.Deletions)
	add("recreate", p.Recreate)
	add("missing", p.Missing)
	add("mirror", p.Mirror)
	add("outages", p.Outages)
	add("disturb", p.Disturb)
	f := p.Feed
	return fmt.Sprintf("%d nodes, window %d events %d bytes, pending %d frames %d bytes, no preload %v, read batch %d, events up to %d bytes; %s",
		p.Nodes, f.WindowEvents, f.WindowBytes, f.MaxPending, f.MaxPendingBytes, f.NoPreload, p.ReadBatch, p.Large, strings.Join(on, ", "))
}

// op is one operation with its own random numbers.
type op struct {
	kind opKind
	seed uint64
}

type opKind string

const (
	opPublish      opKind = "publish"
	opTrim         opKind = "trim"
	opDelete       opKind = "delete"
	opPurgeSubject opKind = "purge subject"
	opRecreate     opKind = "recreate"
	opMissing      opKind = "missing"
	opBackUp       opKind = "back up"
	opRestore      opKind = "restore"
	opRollBack     opKind = "roll back"
	opReach        opKind = "reach"
	opDisturb      opKind = "disturb"
	opRelease      opKind = "release"
	opPause        opKind = "pause"
	opOpen         opKind = "open"
	opCopy         opKind = "copy"
	opTurn         opKind = "turn"
	opLeave        opKind = "leave"
)

// operations draws the operations of a history.
func (p Profile) operations() []op {
	rng := rand.New(rand.NewPCG(p.Seed, 2)) //nolint:gosec // a seed reproduces it
	weights := p.weights()
	total := 0
	for _, w := range weights {
		total += w.weight
	}
	ops := make([]op, 20+rng.IntN(120))
	for i := range ops {
		n := rng.IntN(total)
		for _, w := range weights {
			if n -= w.weight; n < 0 {
				ops[i] = op{w.kind, rng.Uint64()}
				break
			}
		}
	}
	return ops
}

type weighted struct {
	kind   opKind
	weight int
}

func (p Profile) weights() []weighted {
	list := []weighted{{opPublish, 16}, {opTurn, 30}, {opOpen, 10}, {opLeave, 4}, {opPause, 6}}
	add := func(on bool, kind opKind, weight int) {
		if on {
			list = append(list, weighted{kind, weight})
		}
	}
	add(p.Gated, opRelease, 30)
	add(p.Retention, opTrim, 3)
	add(p.Deletions, opDelete, 5)
	add(p.Deletions, opPurgeSubject, 1)
	add(p.Recreate, opRecreate, 2)
	add(p.Missing, opMissing, 2)
	add(p.Rollback || p.Restore, opBackUp, 3)
	add(p.Rollback, opRollBack, 2)
	add(p.Restore, opRestore, 2)
	add(p.Outages, opReach, 5)
	add(p.Disturb, opDisturb, 3)
	add(p.Mirror, opCopy, 12)
	return list
}
