package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// undeliverable returns the metric, or -1.
func (r *harness) undeliverable() (n int) {
	n = -1
	_, text := r.get("/metrics")
	for line := range strings.Lines(text) {
		if _, err := fmt.Sscanf(line, `tidemark_undeliverable_messages_total{stream="NOTIFICATIONS"} %d`, &n); err == nil {
			return n
		}
	}
	return n
}

const warned = "feed: no feed can deliver a message"

// Messages of NATS producers that no connection can receive are counted, and logged once with an example.
func TestUndeliverable_ByNATS_CountedAndLogged(t *testing.T) {
	var log testkit.Log
	r := newHarness(t, func(o *server.Options) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	l := r.listen("/events?user=42&subject=notifications.topic.>", "")
	l.want("tidemark.open")
	for _, subject := range []string{
		"notifications.user.42", "notifications.user.nobody%2Ehere", "notifications.broadcast", "notifications.city.x", "notifications.topic.100%", // these can be delivered
		"notifications.user.alice.b@example.com", "notifications.user.a%2eb", "notifications.user.a%40b", "notifications.other", "notifications.user.100%",
	} {
		r.publish(subject, 1, 1)
	}
	r.publish("notifications.broadcast", 2, 2)
	l.want("1", "1", "1", "2")
	if n := r.undeliverable(); n != 5 {
		t.Errorf("%d messages are counted, want 5", n)
	}
	text := log.String()
	if strings.Count(text, warned) != 1 || !strings.Contains(text, "notifications.user.alice.b@example.com") {
		t.Errorf("want one warning with the example in the log:\n%s", text)
	}
}

// Events stored before the node started are not counted at each start.
func TestUndeliverable_StoredBeforeTheStart_NotCounted(t *testing.T) {
	first := newHarness(t, nil)
	first.publish("notifications.other", 1, 20)
	first.eventually("the count of messages", func() bool { return first.undeliverable() == 20 })
	second := startNode(t, options(t, first.nc.ConnectedUrl()))
	second.awaitReady()
	second.connect(first.nc.ConnectedUrl())
	l := second.listen("/events", "")
	l.want("tidemark.open")
	second.publish("notifications.other", 1, 1)
	second.publish("notifications.broadcast", 2, 2)
	l.want("2")
	if n := second.undeliverable(); n != 1 {
		t.Errorf("%d messages are counted, want 1", n)
	}
}

func TestPublish_SubjectWithoutConnections_Refused(t *testing.T) {
	r := newHarness(t, nil)
	for subject, says := range map[string]string{
		"notifications.other":                    "notifications.user.{user}",
		"notifications.user.alice.b@example.com": "notifications.user.alice%2Eb@example%2Ecom",
		"notifications.user.a%40b":               "write a@b",
		"notifications.user.a%2eb":               "write a%2Eb",
		"other.x":                                "no stream of a feed captures it",
	} {
		status, answer := r.post("/publish", asJSON(map[string]string{"subject": subject, "data": "x"}))
		if detail := fmt.Sprint(answer["detail"]); status != http.StatusUnprocessableEntity || answer["field"] != "subject" || !strings.Contains(detail, says) {
			t.Errorf("%s: %d %v; want the detail %q", subject, status, answer, says)
		}
	}
	if info, err := r.stream().Info(t.Context()); err != nil || info.State.LastSeq != 0 {
		t.Errorf("stored up to %d (%v)", info.State.LastSeq, err)
	}
}

// publish.subjects: stream accepts all subjects of the streams, counts, and does not warn.
func TestPublish_AllSubjects_AcceptedAndCounted(t *testing.T) {
	var log testkit.Log
	r := newHarness(t, func(o *server.Options) {
		o.Publish.AllSubjects = true
		o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	})
	for subject, want := range map[string]int{"notifications.other": 200, "notifications.user.a.b": 200, "other.x": 422, "notifications.user.a%40b": 422} {
		if status, answer := r.post("/publish", asJSON(map[string]string{"subject": subject, "data": "x"})); status != want {
			t.Errorf("%s: %d %v", subject, status, answer)
		}
	}
	r.eventually("the count of messages", func() bool { return r.undeliverable() == 2 })
	if strings.Contains(log.String(), warned) {
		t.Error("the log has a warning of an allowed subject")
	}
}

// If tokens may grant further subjects, every subject can be delivered.
func TestPublish_TokensWiden_EverySubjectCanBeDelivered(t *testing.T) {
	r := newHarness(t, byToken(t))
	header := []string{"Authorization", "Bearer " + bearerOf(t, map[string]any{"sub": "42", "exp": 60, "publish": ">", "more": "notifications.secret.>"})}
	if status, answer := r.post("/publish", `{"subject":"notifications.secret.plan","data":"x"}`, header...); status != http.StatusOK {
		t.Errorf("%d %v", status, answer)
	}
	r.listenAs("/events?subject=notifications.secret.plan&from=all", header...).want("tidemark.open", "x")
	if n := r.undeliverable(); n != 0 {
		t.Errorf("%d messages are counted as undeliverable", n)
	}
}

// A stream's own transform decides the stored subject, also a transform that is added later.
func TestPublish_StreamTransforms_StoredSubjectCounts(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		o.Streams[0].Subjects = []string{"notifications.>", "orders.>"}
		o.Streams[0].SubjectTransform = &jetstream.SubjectTransformConfig{Source: "orders.*.shipped", Destination: "notifications.user.{{wildcard(1)}}"}
	})
	l := r.listen("/events?user=a.b", "")
	l.want("tidemark.open")
	send := func(subject, data string, want int) {
		t.Helper()
		if status, answer := r.post("/publish", asJSON(map[string]string{"subject": subject, "data": data})); status != want {
			t.Errorf("%s: %d %v", subject, status, answer)
		}
	}
	send("orders.a%2Eb.shipped", "one", 200)
	send("orders.a%2Eb.lost", "never", 422)
	l.want("one")
	config := r.stream().CachedInfo().Config
	config.SubjectTransform.Source = "orders.*.lost"
	if _, err := r.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	r.eventually("the change of the stream to take effect", func() bool {
		status, _ := r.post("/publish", `{"subject":"orders.a%2Eb.lost","data":"two"}`)
		return status == http.StatusOK
	})
	l.want("two")
	if n := r.undeliverable(); n != 0 {
		t.Errorf("%d messages are counted as undeliverable", n)
	}
}
