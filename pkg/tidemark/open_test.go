package tidemark_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/pkg/tidemark"
)

func TestOpen_OptionsAreWrong_ErrorNamesEachAndTheRemedy(t *testing.T) {
	n := startNATS(t)
	n.create(t, jetstream.StreamConfig{Name: "QUEUE", Subjects: []string{"queue.>"}, Retention: jetstream.WorkQueuePolicy})
	for name, c := range map[string]struct {
		opts tidemark.Options
		want []string
	}{
		"nothing":                  {tidemark.Options{}, []string{"Options.Stream", "Options.Subjects"}},
		"no such stream":           {tidemark.Options{Stream: "NEWZ", Subjects: []string{"news.>"}}, []string{"Options.Stream", "NEWZ", "nats stream add", "WaitForStream"}},
		"no subjects":              {tidemark.Options{Stream: "NEWS"}, []string{"Options.Subjects", "news.>"}},
		"not a subject":            {tidemark.Options{Stream: "NEWS", Subjects: []string{"news.all", "news..x"}}, []string{"Options.Subjects[1]", "news..x"}},
		"template, no identity":    {tidemark.Options{Stream: "NEWS", Subjects: []string{"news.user.{user}"}}, []string{"Options.Subjects[0]", "{user}", "Options.Identify"}},
		"allow, no identity":       {tidemark.Options{Stream: "NEWS", Allow: []string{"news.{team}.>"}}, []string{"Options.Allow[0]", "{team}", "Options.Identify"}},
		"subject of another":       {tidemark.Options{Stream: "NEWS", Subjects: []string{"news.all", "new.all"}}, []string{"Options.Subjects[1]", "new.all", "news.>"}},
		"work queue":               {tidemark.Options{Stream: "QUEUE", Subjects: []string{"queue.>"}}, []string{"Options.Stream", "retention"}},
		"negative":                 {tidemark.Options{Stream: "NEWS", Subjects: []string{"news.>"}, Heartbeat: -time.Second, Limits: tidemark.Limits{PerUser: -1}}, []string{"Options.Heartbeat", "Options.Limits.PerUser"}},
		"origin with a path":       {tidemark.Options{Stream: "NEWS", Subjects: []string{"news.>"}, CORS: tidemark.CORS{Origins: []string{"https://a.example/"}}}, []string{"Options.CORS.Origins", "https://a.example/"}},
		"all origins with cookies": {tidemark.Options{Stream: "NEWS", Subjects: []string{"news.>"}, CORS: tidemark.CORS{Origins: []string{"*"}, Credentials: true}}, []string{"Options.CORS.Origins"}},
		"domain and prefix":        {tidemark.Options{Stream: "NEWS", Subjects: []string{"news.>"}, Domain: "a", APIPrefix: "b"}, []string{"Options.Domain"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := tidemark.Open(t.Context(), n.nc, c.opts)
			if err == nil {
				f.Close()
				t.Fatal("it opens")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %s: %v", want, err)
				}
			}
			if name == "no such stream" != errors.Is(err, tidemark.ErrStreamNotFound) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	if _, err := tidemark.Open(t.Context(), nil, newsOptions()); err == nil || !strings.Contains(err.Error(), "nc") {
		t.Errorf("without a connection: %v", err)
	}
}

func TestOpen_WaitForStream_ServesOnceItIsCreated(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, tidemark.Options{Stream: "LATER", Subjects: []string{"later.>"}, WaitForStream: true})
	url := ways["engine"](t, f, f)
	client := newClient(t)
	answered := make(chan *conn, 1)
	go func() { answered <- connect(t, client, url+"?from=all") }()
	if f.Status().Lost == nil {
		t.Error("the status does not report that the stream is missing")
	}
	n.create(t, jetstream.StreamConfig{Name: "LATER", Subjects: []string{"later.>"}})
	publish(t, f, "later.x", 1)
	if ev := (<-answered).next(t, ""); string(ev.Data) != "1" {
		t.Errorf("received %s", ev.Data)
	}
}
