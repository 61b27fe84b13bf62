package server_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// startLogged starts a node with some streams on its NATS server, and returns its log.
func startLogged(t *testing.T, streams []jetstream.StreamConfig, change func(*server.Options)) (*harness, *testkit.Log) {
	t.Helper()
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	log := &testkit.Log{}
	opts := options(t, url)
	opts.Logger = slog.New(slog.NewJSONHandler(log, nil))
	change(&opts)
	client := &harness{t: t}
	client.connect(url)
	for _, config := range streams {
		if _, err := client.js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	r := startNode(t, opts)
	r.connect(url)
	return r, log
}

// lineWith returns the line of a log that contains all of some words.
func lineWith(log *testkit.Log, words ...string) string {
	for line := range strings.Lines(log.String()) {
		found := true
		for _, word := range words {
			found = found && strings.Contains(line, word)
		}
		if found {
			return line
		}
	}
	return ""
}

func TestStart_StreamOfAFeedDoesNotExist_WarnsWithTheKey(t *testing.T) {
	r, log := startLogged(t, nil, func(o *server.Options) { o.Feeds[0].Stream = "NOTIFICATION" })
	r.eventually("a warning", func() bool {
		return lineWith(log, `"WARN"`, "does not exist", `"key":"feeds.notifications.stream"`, `"stream":"NOTIFICATION"`, `"defined":"NOTIFICATIONS"`) != ""
	})
}

func TestStart_StreamThatTheNodeCreates_IsNotReportedAsMissing(t *testing.T) {
	r, log := startLogged(t, nil, func(*server.Options) {})
	r.awaitReady()
	if line := lineWith(log, "does not exist"); line != "" {
		t.Error(line)
	}
}

func TestStart_StreamCannotHaveTheSubjects_WarnsForEach(t *testing.T) {
	other := testStream()
	other.Subjects = []string{"other.>", "notifications.topic.a"}
	r, log := startLogged(t, []jetstream.StreamConfig{other}, func(o *server.Options) { o.Streams = nil })
	for _, subject := range []string{"notifications.broadcast", "notifications.user.{user}"} {
		r.eventually(subject, func() bool {
			return lineWith(log, `"WARN"`, `"key":"feeds.notifications.subjects"`, subject, "other.>") != ""
		})
	}
	r.eventually("allow", func() bool {
		return lineWith(log, `"key":"feeds.notifications.allow"`, "notifications.city.*") != ""
	})
	if line := lineWith(log, `like \"notifications.topic.>`); line != "" {
		t.Errorf("the stream can have it: %s", line)
	}
}

func TestStart_TransformMakesTheSubjects_WarnsOfNothing(t *testing.T) {
	orders := testStream()
	orders.Subjects = []string{"orders.>"}
	orders.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "orders.*", Destination: "notifications.user.{{wildcard(1)}}"}
	r, log := startLogged(t, []jetstream.StreamConfig{orders}, func(o *server.Options) {
		o.Streams, o.Feeds[0].Subjects, o.Feeds[0].Allow = nil, templates(t, "notifications.user.{user}", "x.{user}"), nil
	})
	r.eventually("the warning of the other subject", func() bool { return lineWith(log, `"WARN"`, "x.{user}") != "" })
	if line := lineWith(log, `like \"notifications.user`); line != "" {
		t.Error(line)
	}
}

func TestBanner_Feeds_NameTheirSubjects(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	for name, c := range map[string]struct {
		dev             bool
		identity        []string
		subjects, allow []string
		says            []string
		not             []string
	}{
		"dev":                     {true, nil, []string{"n.all", "n.user.{user}"}, nil, []string{"/events?user=42'", "nats pub n.user.42 hi"}, []string{"notifications", "Without"}},
		"dev, no user":            {true, nil, []string{"n.all"}, nil, []string{"/events'", "nats pub n.all hi"}, []string{"notifications", "user=42"}},
		"no identity":             {false, nil, []string{"n.all", "n.user.{user}"}, nil, []string{"nats pub n.all hi", "receive only n.all."}, []string{"notifications"}},
		"no identity, users only": {false, nil, []string{"n.user.{user}"}, nil, []string{"nats pub n.user.USER hi", "no connection has a value"}, []string{"notifications", "receive only"}},
		"no identity, no users":   {false, nil, []string{"n.all"}, nil, []string{"nats pub n.all hi", "--dev"}, []string{"receive only", "no connection"}},
		"dev, on request":         {true, nil, nil, []string{"n.runs.{user}.*"}, []string{"/events?user=42&subject=n.runs.42.example'", "nats pub n.runs.42.example hi"}, []string{"SUBJECT"}},
		"on request":              {false, []string{"anonymous"}, nil, []string{"n.topic.>"}, []string{"/events?subject=n.topic.example'", "nats pub n.topic.example hi"}, []string{"notifications", "Without"}},
	} {
		opts := options(t, url)
		opts.Dev, opts.Auth.Identity = c.dev, c.identity
		opts.Feeds[0].Subjects, opts.Feeds[0].Allow = templates(t, c.subjects...), templates(t, c.allow...)
		var out bytes.Buffer
		if err := startNode(t, opts).srv.WriteBanner(&out); err != nil {
			t.Fatal(err)
		}
		for _, word := range c.says {
			if !strings.Contains(out.String(), word) {
				t.Errorf("%s: no %q in %s", name, word, out.String())
			}
		}
		for _, word := range c.not {
			if strings.Contains(out.String(), word) {
				t.Errorf("%s: %q in %s", name, word, out.String())
			}
		}
	}
}

func TestConnect_VariableWithoutValue_NamesTheConfiguredIdentities(t *testing.T) {
	misspelt := func(change func(*server.Options)) func(*server.Options) {
		return func(o *server.Options) {
			change(o)
			o.Feeds[0].Subjects = templates(t, "notifications.user.{usr}")
		}
	}
	for name, c := range map[string]struct {
		change func(*server.Options)
		query  string
		says   string
	}{
		"dev":         {func(*server.Options) {}, "?user=42", "send ?user=, which has {user} alone"},
		"a token":     {byToken(t), "?access_token=" + bearerOf(t, map[string]any{"sub": "42", "exp": 60}), "send a token, which has "},
		"no identity": {func(o *server.Options) { o.Dev = false }, "", "identifies no users (auth.identity)"},
	} {
		r := newHarness(t, misspelt(c.change))
		status, body := r.get("/events" + c.query)
		if status != 400 || !strings.Contains(body, c.says) || strings.Contains(body, "X-User") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}
