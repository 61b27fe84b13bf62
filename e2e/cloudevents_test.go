package e2e_test

import (
	"net/http"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// TestCloudEvents_SDKPublishes_EventIsStoredOnceWithItsAttributes publishes with the SDK's client in both modes, and reads
// the messages over NATS.
func TestCloudEvents_SDKPublishes_EventIsStoredOnceWithItsAttributes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(s.url("/publish")))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := newProducer(t, s).js.Stream(t.Context(), "NOTIFICATIONS")
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"structured", "binary"} {
		event := cloudevents.NewEvent()
		event.SetID(id)
		event.SetSource("https://shop.example/orders")
		event.SetType("order.made")
		event.SetSubject("notifications.user.42")
		event.SetExtension("region", "eu")
		if err := event.SetData(cloudevents.ApplicationJSON, map[string]int{"total": 12}); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if id == "structured" {
			ctx = binding.WithForceStructured(ctx)
		}
		for range 2 { // the second is a duplicate
			var answer *cehttp.Result
			if result := client.Send(ctx, event); !cloudevents.ResultAs(result, &answer) || answer.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v", id, result)
			}
		}
		msg, err := stream.GetMsg(t.Context(), uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"ce-id": id, "ce-source": "https://shop.example/orders", "ce-region": "eu", "ce-specversion": "1.0", "ce-type": "order.made", "Event-Type": "order.made", "Content-Type": "application/json",
		} {
			if got := msg.Header.Get(name); got != want {
				t.Errorf("%s: stored with %s: %q, want %q", id, name, got, want)
			}
		}
		if msg.Subject != "notifications.user.42" || string(msg.Data) != `{"total":12}` || msg.Header.Get("ce-time") == "" && !event.Time().IsZero() {
			t.Errorf("%s: stored %s %s %v", id, msg.Subject, msg.Data, msg.Header)
		}
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 2 {
		t.Errorf("stored %d events, want 2; %v", info.State.Msgs, err)
	}
}

// TestOpenAPI_EventStreamsAndCloudEvents_FollowTheDocument compares the answers with the document of the node.
func TestOpenAPI_EventStreamsAndCloudEvents_FollowTheDocument(t *testing.T) {
	t.Parallel()
	s := serve(t, "--publish.max_bytes=500")
	doc := describe(t, s)
	const toSubject, template, stream = "/publish/notifications.broadcast", "/publish/{subject}", "text/event-stream"
	for _, tt := range []struct {
		path, template, content, body string
		want                          int
	}{
		{toSubject, template, stream, "data: 1\n\ndata: [DONE]\n\n", 200},
		{toSubject, template, stream, "", 200},
		{toSubject, template, stream, "data: 1\n\nevent: error\ndata: 2\n\n", 400},
		{toSubject, template, stream, "data: 1\n", 400},
		{toSubject + "?end=1", template, "text/plain", "", 200},
		{toSubject + "?end_on=x", template, "text/plain", "x", 400},
		{"/publish?user=42", "/publish", stream, "data: 1\n\n", 200},
		{"/publish", "/publish", stream, "data: 1\n\n", 400},
		{"/publish", "/publish", "application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"/x","type":"t","subject":"notifications.broadcast","data":1}`, 200},
		{"/publish", "/publish", "application/cloudevents-batch+json", `[{"specversion":"1.0","id":"1","source":"/x","type":"t","subject":"notifications.broadcast"}]`, 200},
		{"/publish", "/publish", "application/cloudevents+json", `{"specversion":"1.0"}`, 400},
	} {
		if status := doc.check(http.MethodPost, tt.path, tt.template, tt.body, "Content-Type", tt.content); status != tt.want {
			t.Errorf("%s as %s with %q: %d, want %d", tt.path, tt.content, tt.body, status, tt.want)
		}
	}
}
