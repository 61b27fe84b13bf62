package tidemark_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/pkg/tidemark"
)

func TestPublish_EventIsStored_AckHasItsPosition(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	url := ways["handler"](t, f, f)
	m := tidemark.Message{User: "a.b", Type: "order", Data: []byte("1"), ID: "o-1"}
	ack, err := f.Publish(t.Context(), m)
	if err != nil || ack.Sequence != 1 || ack.Duplicate {
		t.Fatalf("%+v, %v", ack, err)
	}
	again, err := f.Publish(t.Context(), m)
	if err != nil || !again.Duplicate || again.Position != ack.Position {
		t.Errorf("a repeat: %+v, %v", again, err)
	}
	ev := connect(t, newClient(t), url+"?from=all", "X-User", "a.b").next(t, "order")
	if string(ev.ID) != ack.Position || string(ev.Data) != "1" {
		t.Errorf("received %+v, published at %s", ev, ack.Position)
	}
}

func TestPublishAll_OneIsRefused_OthersAreStored(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	results := f.PublishAll(t.Context(),
		tidemark.Message{Subject: "news.all", Data: []byte("1")},
		tidemark.Message{Subject: "news.other", Data: []byte("2")},
		tidemark.Message{Subject: "news.topic.x", Data: []byte("3")})
	if results[0].Err != nil || results[0].Sequence != 1 || results[2].Err != nil || results[2].Sequence != 2 {
		t.Errorf("%+v", results)
	}
	if err := results[1].Err; !errors.Is(err, tidemark.ErrNotStored) {
		t.Errorf("the error is %v", err)
	}
}

func TestPublish_MessageIsWrong_ErrorNamesTheField(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	for name, c := range map[string]struct {
		m    tidemark.Message
		want string
	}{
		"no subject":       {tidemark.Message{}, "subject"},
		"wildcard":         {tidemark.Message{Subject: "news.*"}, "subject"},
		"no client has it": {tidemark.Message{Subject: "news.other"}, "news.user.{user}"},
		"user and subject": {tidemark.Message{Subject: "news.all", User: "42"}, "not both"},
		"reserved type":    {tidemark.Message{Subject: "news.all", Type: "error"}, "event"},
		"half a second":    {tidemark.Message{Subject: "news.all", TTL: time.Second / 2}, "ttl"},
		"reserved header":  {tidemark.Message{Subject: "news.all", Header: map[string]string{"Nats-Msg-Id": "x"}}, "Nats-Msg-Id"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Publish(t.Context(), c.m)
			if !errors.Is(err, tidemark.ErrNotStored) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v; want %s", err, c.want)
			}
		})
	}
}
