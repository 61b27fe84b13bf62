package slots_test

import (
	"math/rand/v2"
	"testing"

	"github.com/tidemark/tidemark/internal/slots"
)

type element struct{ slot int32 }

// The results of a set and a map are compared over many random changes.
func TestLikeAMap(t *testing.T) {
	set := slots.New(func(e *element) *int32 { return &e.slot })
	want := map[*element]bool{}
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]*element, 64)
	for i := range all {
		all[i] = &element{}
	}
	for range 20_000 {
		e := all[random.IntN(len(all))]
		if !want[e] && random.IntN(2) == 0 {
			set.Add(e)
			want[e] = true
			continue
		}
		if removed := set.Remove(e); removed != want[e] {
			t.Fatalf("Remove said %v of an element whose presence is %v", removed, want[e])
		}
		delete(want, e)
		if set.Len() != len(want) || len(set.All()) != len(want) {
			t.Fatalf("%d elements, want %d", set.Len(), len(want))
		}
		for _, e := range set.All() {
			if !want[e] {
				t.Fatal("an element that was removed is there")
			}
		}
	}
}
