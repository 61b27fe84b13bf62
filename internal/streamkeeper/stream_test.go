package streamkeeper

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/streamdef"
)

func TestStream_Lost_IsCreatedAgainOnlyWhereANodeCreatedIt(t *testing.T) {
	for name, c := range map[string]struct {
		found    []streamdef.Outcome
		followed string
		owned    bool
	}{
		"created by a node":                            {[]streamdef.Outcome{{Owned: true, Epoch: "a"}}, "a", true},
		"never followed":                               {[]streamdef.Outcome{{Owned: true, Epoch: "a"}}, "", true},
		"made by an operator":                          {[]streamdef.Outcome{{Epoch: "a"}}, "a", false},
		"replaced by an operator":                      {[]streamdef.Outcome{{Owned: true, Epoch: "a"}, {Epoch: "b"}}, "b", false},
		"replaced unseen, and the feed noticed":        {[]streamdef.Outcome{{Owned: true, Epoch: "a"}}, "b", false},
		"created again, and the feed is not there yet": {[]streamdef.Outcome{{Owned: true, Epoch: "a"}, {Owned: true, Epoch: "b"}}, "a", true},
	} {
		s := &stream{want: jetstream.StreamConfig{Name: "S"}, pending: true}
		for _, out := range c.found {
			s.found(out)
		}
		owned, first := s.lost(c.followed)
		if owned != c.owned || first != c.owned {
			t.Errorf("%s: created again %v, first %v, want %v", name, owned, first, c.owned)
		}
		if missing := s.whyMissing() != ""; missing != c.owned {
			t.Errorf("%s: reported as missing %v, want %v", name, missing, c.owned)
		}
		if _, again := s.lost(c.followed); again {
			t.Errorf("%s: a loss is new twice", name)
		}
	}
}

func TestKeeper_Err_ReportsUntilAllExist(t *testing.T) {
	k := New(Options{Definitions: []jetstream.StreamConfig{{Name: "A", Subjects: []string{"a.>"}}, {Name: "B", Subjects: []string{"b"}}}})
	if k.Err() == nil || !k.Pending("A") || k.Pending("C") || k.Expected("a.x") != "A" || k.Expected("c") != "" {
		t.Errorf("at the start: %v, pending %v and %v, expected %q", k.Err(), k.Pending("A"), k.Pending("C"), k.Expected("a.x"))
	}
	for _, s := range k.streams {
		s.found(streamdef.Outcome{Owned: true, Epoch: "1"})
	}
	k.pending.Store(nil)
	if err := k.Err(); err != nil || k.Pending("A") {
		t.Errorf("all exist: %v", err)
	}
	k.streams["B"].lost("1")
	if err := k.Err(); err == nil || err.Error() != "stream B is lost, and will be created again" {
		t.Errorf("B is lost: %v", err)
	}
	if !k.streams["B"].failed(errors.New("no space")) || k.streams["B"].failed(errors.New("no space")) {
		t.Error("a reason is new once")
	}
}
