package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
)

func lifetimes(o *server.Options) { o.Streams[0].AllowMsgTTL = true }

func TestPublishBody_ValueWithDots_ErrorNamesThePath(t *testing.T) {
	r := newHarness(t, nil)
	for path, want := range map[string]string{
		"notifications.user.alice%2Eb":   `in the path that is "notifications.user.alice%252Eb"`,
		"notifications.user.alice.b":     `in the path that is "notifications.user.alice%252Eb"`,
		"notifications.user.alice%252eb": "in the path write %25 for each % of the subject",
		"notifications.other":            "",
	} {
		status, answer := r.post("/publish/"+path, "1")
		detail := fmt.Sprint(answer["detail"])
		if status != http.StatusUnprocessableEntity || !strings.Contains(detail, want) || want == "" && strings.Contains(detail, "in the path") {
			t.Errorf("%s: %d %s; want %q", path, status, detail, want)
		}
	}
	if status, answer := r.post("/publish/notifications.user.alice%252Eb", "1"); status != http.StatusOK {
		t.Errorf("as the error says: %d %v", status, answer)
	}
}

func TestPublishBody_Event_IsDeliveredWithItsHeaders(t *testing.T) {
	r := newHarness(t, lifetimes)
	l := r.listen("/events?user=a.b", "")
	l.want("tidemark.open")
	const path = "/publish/notifications.user.a%252Eb"
	status, answer := r.post(path, "1", "Event-Type", "made", "Nats-TTL", "3600", "Nats-Rollup", "all", "CE-Source", "caf%C3%A9", "ce-id", "1", "ce-type", "t", "ce-specversion", "1.0", "Content-Type", "application/json", "Idempotency-Key", "k")
	if status != http.StatusOK || answer["seq"] != float64(1) || !strings.HasPrefix(fmt.Sprint(answer["position"]), "1-") {
		t.Fatalf("%d %v", status, answer)
	}
	if ev := l.next(); ev.Type != "made" || string(ev.Data) != "1" {
		t.Errorf("received %q %q", ev.Type, ev.Data)
	}
	stored, err := r.stream().GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Nats-TTL": "1h0m0s", "ce-source": "café", "Content-Type": "application/json", "Nats-Rollup": "", "Idempotency-Key": "", "Nats-Expected-Stream": "NOTIFICATIONS"} {
		if got := stored.Header.Get(name); got != want {
			t.Errorf("stored with %s: %q, want %q", name, got, want)
		}
	}
	if _, answer := r.post(path, "1", "Idempotency-Key", "k"); answer["duplicate"] != true {
		t.Errorf("the repeat is not a duplicate: %v", answer)
	}
}

func TestPublishBody_BelowBasePath_TakesSubjectFromTheRest(t *testing.T) {
	first := newHarness(t, nil)
	opts := options(t, first.nc.ConnectedUrl())
	opts.HTTP.BasePath = "/publish"
	r := startNode(t, opts)
	r.base += "/publish"
	r.awaitReady()
	l := first.listen("/events?user=a.b", "")
	l.want("tidemark.open")
	if status, answer := r.post("/publish/notifications.user.a%252Eb", "1"); status != http.StatusOK {
		t.Errorf("%d %v", status, answer)
	}
	l.want("1")
}

func TestPublishBody_StreamWithoutLifetimes_RefusesOne(t *testing.T) {
	r := newHarness(t, nil)
	status, answer := r.post("/publish/notifications.broadcast", "x", "Nats-TTL", "60")
	if status != http.StatusUnprocessableEntity || !strings.Contains(fmt.Sprint(answer["detail"]), "allow_msg_ttl") || answer["outcome"] != "not_stored" {
		t.Errorf("%d %v", status, answer)
	}
}

func TestPublishBody_PublishingOff_NamesTheKeys(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.Publish.Enabled = false })
	for _, path := range []string{"/publish", "/publish/notifications.broadcast"} {
		if status, answer := r.post(path, "x"); status != http.StatusNotFound || !strings.Contains(fmt.Sprint(answer["detail"]), "publish.keys") {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
}

// sourcingNode starts a node whose stream has no subjects, and sources ORIGIN.
func sourcingNode(t *testing.T) *harness {
	t.Helper()
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	operator := &harness{t: t}
	operator.connect(url)
	if _, err := operator.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORIGIN", Subjects: []string{"notifications.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.js.Publish(t.Context(), "notifications.elsewhere", nil); err != nil { // not sourced, so that sequences differ
		t.Fatal(err)
	}
	opts := options(t, url)
	opts.Streams[0].Subjects = nil
	opts.Streams[0].Sources = []*jetstream.StreamSource{{Name: "ORIGIN", FilterSubject: "notifications.broadcast"}}
	r := startNode(t, opts)
	r.connect(url)
	r.awaitReady()
	return r
}

func TestPublish_StreamIsSourced_PositionIsNullAndEventArrives(t *testing.T) {
	r := sourcingNode(t)
	l := r.listen("/events", "")
	l.want("tidemark.open")
	status, answer := r.post("/publish", `{"subject":"notifications.broadcast","data":1}`)
	position, has := answer["position"]
	if status != http.StatusOK || answer["stream"] != "ORIGIN" || answer["seq"] != float64(2) || !has || position != nil {
		t.Errorf("%d %v", status, answer)
	}
	l.want("1")
}

// A stream that no feed reads accepts no event, whatever its subjects.
func TestPublish_ForeignStreamCapturesSubject_Refused(t *testing.T) {
	r := sourcingNode(t)
	if err := r.js.DeleteStream(t.Context(), "ORIGIN"); err != nil {
		t.Fatal(err)
	}
	foreign, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FOREIGN", Subjects: []string{"notifications.>"}})
	if err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{"/publish": broadcastX, "/publish/notifications.broadcast": "x", "/api/events/send-message": `{"broadcast":true,"message":"x"}`} {
		status, answer := r.post(path, body)
		if status != http.StatusUnprocessableEntity || answer["outcome"] != "not_stored" || !strings.Contains(fmt.Sprint(answer["detail"]), "no feed reads") {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	if info, err := foreign.Info(t.Context()); err != nil || info.State.Msgs > 0 {
		t.Errorf("it has %+v, %v", info.State, err)
	}
}
