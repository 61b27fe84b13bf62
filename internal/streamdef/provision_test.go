package streamdef_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/streamdef"
)

// A stream that was just created from a definition must not differ from it.
func TestProvisionFreshStreams(t *testing.T) {
	s := natstest.New(t)
	s.DeleteStream()
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
			for _, want := range []streamdef.Action{streamdef.Created, streamdef.Unchanged} {
				got, err := streamdef.Provision(s.Ctx(), s.JS, cfg, true)
				if err != nil || got.Action != want || len(got.Differences) > 0 {
					t.Errorf("%+v, %v; want %s", got, err, want)
				}
			}
		})
	}
}

func TestProvisionDifferences(t *testing.T) {
	s := natstest.New(t)
	want := jetstream.StreamConfig{
		Name: natstest.StreamName, Subjects: []string{"notifications.>"},
		MaxAge: 24 * time.Hour, MaxConsumers: 10_000, DenyDelete: true,
	}
	expect := []streamdef.Difference{
		{Field: "deny_delete", Want: "true"},
		{Field: "max_age", Want: "24h0m0s", Have: "0s"},
	}
	s.Reset(jetstream.StreamConfig{MaxConsumers: 10_000})
	for i, c := range []struct {
		apply  bool
		action streamdef.Action
		diffs  []streamdef.Difference
	}{
		{false, streamdef.Differs, expect},
		{true, streamdef.Applied, expect},
		{false, streamdef.Unchanged, nil},
	} {
		got, err := streamdef.Provision(s.Ctx(), s.JS, want, c.apply)
		if err != nil || got.Action != c.action || !slices.Equal(got.Differences, c.diffs) {
			t.Errorf("step %d: %+v, %v", i, got, err)
		}
	}
}

func TestProvisionErrors(t *testing.T) {
	s := natstest.New(t)
	for _, c := range []struct {
		cfg  jetstream.StreamConfig
		want string
	}{
		{jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"notifications.user.*"}}, "change subjects"},
		{jetstream.StreamConfig{Name: "THREE", Subjects: []string{"three"}, Replicas: 3}, "num_replicas"},
		{jetstream.StreamConfig{Name: natstest.StreamName, Subjects: []string{"notifications.>"}, Storage: jetstream.MemoryStorage}, "recreate"},
	} {
		_, err := streamdef.Provision(s.Ctx(), s.JS, c.cfg, true)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.cfg.Name) {
			t.Errorf("%s: %v", c.cfg.Name, err)
		}
	}
}

// Only ProvisionOwned marks a stream, and the mark does not count as a difference.
func TestProvisionOwned_MarksWhatItCreates(t *testing.T) {
	s := natstest.New(t)
	want := jetstream.StreamConfig{Name: "OURS", Subjects: []string{"ours.>"}, Metadata: map[string]string{"tidemark.epoch": "one"}}
	for i, c := range []struct {
		provision func(context.Context, jetstream.JetStream, jetstream.StreamConfig, bool) (streamdef.Outcome, error)
		change    func()
		want      streamdef.Outcome
	}{
		{streamdef.Provision, nil, streamdef.Outcome{Action: streamdef.Created}},
		{streamdef.ProvisionOwned, nil, streamdef.Outcome{Action: streamdef.Unchanged}},
		{streamdef.ProvisionOwned, func() { want.MaxMsgs = 5 }, streamdef.Outcome{Action: streamdef.Applied}},
		{streamdef.ProvisionOwned, func() { s.DeleteNamed("OURS") }, streamdef.Outcome{Action: streamdef.Created, Owned: true}},
		{streamdef.ProvisionOwned, nil, streamdef.Outcome{Action: streamdef.Unchanged, Owned: true}},
		{streamdef.Provision, nil, streamdef.Outcome{Action: streamdef.Unchanged, Owned: true}},
		{streamdef.Provision, func() { want.MaxMsgs = 6 }, streamdef.Outcome{Action: streamdef.Applied, Owned: true}},
	} {
		if c.change != nil {
			c.change()
		}
		got, err := c.provision(s.Ctx(), s.JS, want, true)
		if err != nil || got.Action != c.want.Action || got.Owned != c.want.Owned || got.Epoch != "one" || want.Metadata["tidemark.created_by"] != "" {
			t.Errorf("step %d: %+v, %v; want %+v", i, got, err, c.want)
		}
	}
}

// Several nodes with one definition create one stream.
func TestProvisionOwned_AtOnce_EachOwnsTheSameStream(t *testing.T) {
	s := natstest.New(t)
	want := jetstream.StreamConfig{Name: "OURS", Subjects: []string{"ours.>"}}
	outcomes := make([]streamdef.Outcome, 8)
	var nodes sync.WaitGroup
	for i := range outcomes {
		nodes.Go(func() {
			var err error
			if outcomes[i], err = streamdef.ProvisionOwned(s.Ctx(), s.JS, want, false); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	for _, out := range outcomes {
		if !out.Owned || out.Epoch != outcomes[0].Epoch || len(out.Differences) > 0 {
			t.Errorf("%+v", outcomes)
		}
	}
}

func TestProvision_StorageLimitTooSmall_NamesKey(t *testing.T) {
	srv := natstest.StartServer(t, func(o *server.Options) { o.JetStream, o.JetStreamMaxStore = true, 64<<20 })
	js, err := jetstream.New(natstest.Connect(t, natsconn.Options{URL: srv.ClientURL()}))
	if err != nil {
		t.Fatal(err)
	}
	want := jetstream.StreamConfig{Name: "BIG", Subjects: []string{"big"}, Storage: jetstream.FileStorage, MaxBytes: 1 << 30}
	_, err = streamdef.Provision(t.Context(), js, want, false)
	for _, text := range []string{"stream BIG", "1073741824", "streams.max_bytes"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
	want.MaxBytes = 32 << 20
	if out, err := streamdef.Provision(t.Context(), js, want, false); err != nil || out.Action != streamdef.Created {
		t.Errorf("a smaller stream: %+v, %v", out, err)
	}
}
