package doctor_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/revocation"
)

func TestStreams_Builtin_IsOK(t *testing.T) {
	url := startNATS(t)
	_, js := jetStream(t, url)
	createStream(t, js, builtin(t))
	report := doctor.Run(t.Context(), settings(t, url))
	want(t, report, doctor.OK, "stream NOTIFICATIONS", "replicas: 1")
	wantNone(t, report, "configuration", "nats", "permissions", "stream", "clock", "open files")
	if report.Status == doctor.Problem {
		t.Error(lines(report, ""))
	}
}

// TestStreams_Settings_AreReported changes one setting of the built-in stream at a time. Each has a server
// of its own: nats-server removes the files of a deleted stream in the background, so that another one
// of its name may fail.
func TestStreams_Settings_AreReported(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*jetstream.StreamConfig)
		status doctor.Status
		parts  []string
	}{
		"retention":    {func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, doctor.Problem, []string{"interest", "retention: limits"}},
		"unbounded":    {func(c *jetstream.StreamConfig) { c.MaxAge, c.MaxBytes = 0, -1 }, doctor.Warning, []string{"nothing bounds", "max_age"}},
		"short":        {func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = 10*time.Second, 10*time.Second }, doctor.Warning, []string{"10s", "max_age"}},
		"discard":      {func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }, doctor.Warning, []string{"discard new", "discard: old"}},
		"duplicates":   {func(c *jetstream.StreamConfig) { c.Duplicates = time.Second }, doctor.Warning, []string{"duplicate", "duplicate_window: 2m"}},
		"subjects":     {func(c *jetstream.StreamConfig) { c.Subjects = []string{"notifications.user.*"} }, doctor.Problem, []string{"notifications.broadcast", "feeds.notifications"}},
		"consumers":    {func(c *jetstream.StreamConfig) { c.MaxConsumers = 10 }, doctor.Warning, []string{"max_consumers"}},
		"memory":       {func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, doctor.Warning, []string{"storage: file"}},
		"per subject":  {func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, doctor.Warning, []string{"max_msgs_per_subject"}},
		"small events": {func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 }, doctor.Warning, []string{"publish.max_bytes", "1000"}},
		"definition":   {func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, doctor.Warning, []string{"max_age", "streams.apply"}},
		"sealed":       {func(*jetstream.StreamConfig) {}, doctor.Problem, []string{"sealed"}},
		"dead mirror": {func(c *jetstream.StreamConfig) {
			c.Subjects, c.Mirror, c.Duplicates = nil, &jetstream.StreamSource{Name: "NOWHERE", Domain: "nowhere"}, 0
		}, doctor.Problem, []string{"NOWHERE"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := builtin(t)
			c.change(&cfg)
			url := startNATS(t)
			_, js := jetStream(t, url)
			createStream(t, js, cfg)
			if name == "sealed" {
				cfg.Sealed = true
				if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
			}
			opts := settings(t, url)
			opts.Config.Publish.Enabled = config.On
			want(t, doctor.Run(t.Context(), opts), c.status, "stream NOTIFICATIONS", c.parts...)
		})
	}
}

func TestStreams_Missing_SaysWhoCreatesIt(t *testing.T) {
	url := startNATS(t)
	opts := settings(t, url)
	want(t, doctor.Run(t.Context(), opts), doctor.Warning, "stream NOTIFICATIONS", "does not exist", "tidemark stream apply")
	opts.Streams = nil
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "stream NOTIFICATIONS", "no definition", "streams.dir")
}

func TestRevocations_OtherStream_IsAProblem(t *testing.T) {
	url := startNATS(t)
	_, js := jetStream(t, url)
	createStream(t, js, jetstream.StreamConfig{Name: revocation.Stream, Subjects: []string{"other"}})
	want(t, doctor.Run(t.Context(), settings(t, url)), doctor.Problem, "stream "+revocation.Stream, "rename or delete")
}
