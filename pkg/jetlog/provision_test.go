package jetlog_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/pkg/jetlog"
)

// A stream that was just created from a definition must not differ from it.
func TestProvisionFreshStreams(t *testing.T) {
	s := newStand(t)
	s.deleteStream()
	for name, cfg := range map[string]jetstream.StreamConfig{
		"bare":         {},
		"subjects":     {Subjects: []string{"b.>", "a.*"}},
		"short":        {MaxAge: time.Second, Subjects: []string{"x"}},
		"limits":       {MaxMsgs: 10, MaxBytes: 1 << 20, MaxMsgSize: 100, MaxMsgsPerSubject: 3, MaxConsumers: 5000},
		"minus":        {MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1},
		"memory":       {Storage: jetstream.MemoryStorage, Discard: jetstream.DiscardNew, Retention: jetstream.InterestPolicy},
		"denials":      {DenyDelete: true, DenyPurge: true, AllowDirect: true, Compression: jetstream.S2Compression},
		"metadata":     {Metadata: map[string]string{"tidemark.epoch": "a", "_nats.level": "9"}},
		"markers":      {SubjectDeleteMarkerTTL: time.Minute, AllowMsgTTL: true},
		"first":        {FirstSeq: 100, Description: "d"},
		"consumers":    {ConsumerLimits: jetstream.StreamConsumerLimits{InactiveThreshold: time.Minute}},
		"mirror":       {Mirror: &jetstream.StreamSource{Name: "origin"}},
		"sources":      {Sources: []*jetstream.StreamSource{{Name: "origin"}}},
		"deduplicates": {Duplicates: time.Minute, MaxAge: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Name = name
			for _, want := range []jetlog.Action{jetlog.Created, jetlog.Unchanged} {
				got, err := jetlog.Provision(s.ctx(), s.js, cfg, true)
				if err != nil || got.Action != want || len(got.Differences) > 0 {
					t.Errorf("%+v, %v; want %s", got, err, want)
				}
			}
		})
	}
}

func TestProvisionDifferences(t *testing.T) {
	s := newStand(t)
	want := jetstream.StreamConfig{
		Name: streamName, Subjects: []string{"notifications.>"},
		MaxAge: 24 * time.Hour, MaxConsumers: 10_000, DenyDelete: true,
	}
	expect := []jetlog.Difference{
		{Field: "deny_delete", Want: "true"},
		{Field: "max_age", Want: "24h0m0s", Have: "0s"},
	}
	s.reset(jetstream.StreamConfig{MaxConsumers: 10_000})
	for i, c := range []struct {
		apply  bool
		action jetlog.Action
		diffs  []jetlog.Difference
	}{
		{false, jetlog.Differs, expect},
		{true, jetlog.Applied, expect},
		{false, jetlog.Unchanged, nil},
	} {
		got, err := jetlog.Provision(s.ctx(), s.js, want, c.apply)
		if err != nil || got.Action != c.action || !slices.Equal(got.Differences, c.diffs) {
			t.Errorf("step %d: %+v, %v", i, got, err)
		}
	}
}

func TestProvisionErrors(t *testing.T) {
	s := newStand(t)
	for _, c := range []struct {
		cfg  jetstream.StreamConfig
		want string
	}{
		{jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"notifications.user.*"}}, "change subjects"},
		{jetstream.StreamConfig{Name: "THREE", Subjects: []string{"three"}, Replicas: 3}, "num_replicas"},
		{jetstream.StreamConfig{Name: streamName, Subjects: []string{"notifications.>"}, Storage: jetstream.MemoryStorage}, "recreate"},
	} {
		_, err := jetlog.Provision(s.ctx(), s.js, c.cfg, true)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.cfg.Name) {
			t.Errorf("%s: %v", c.cfg.Name, err)
		}
	}
}
