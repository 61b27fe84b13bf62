package streams_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testkit/leaks"
	"github.com/tidemark/tidemark/streams"
)

func TestMain(m *testing.M) { leaks.VerifyTestMain(m) }

func builtin(t *testing.T) []streams.Definition {
	t.Helper()
	defs, err := streams.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if len(defs) == 0 {
		t.Fatal("there is no built-in stream")
	}
	return defs
}

func embedded(t *testing.T) jetstream.JetStream {
	t.Helper()
	srv, err := natsd.Start(t.Context(), natsd.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	nc, err := nats.Connect("", srv.InProcess())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestBuiltinComesBackEqualFromAServer(t *testing.T) {
	js := embedded(t)
	for _, def := range builtin(t) {
		stream, err := js.CreateStream(t.Context(), def.Config)
		if err != nil {
			t.Fatalf("%s: %v", def.Source, err)
		}
		// The form of `nats stream info --json`: with state, and the server's metadata.
		report, err := json.Marshal(stream.CachedInfo())
		if err != nil {
			t.Fatal(err)
		}
		back, err := streams.Parse("info", report)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(def.Config, back.Config); diff != "" {
			t.Errorf("%s: the server has it otherwise (-file +server):\n%s", def.Source, diff)
		}
	}
}

func TestBuiltinIsWrittenAsTheClientMarshalsIt(t *testing.T) {
	for _, def := range builtin(t) {
		file, err := os.ReadFile(strings.TrimPrefix(def.Source, "built-in "))
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(def.Config); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), string(file)); diff != "" {
			t.Errorf("%s (-marshalled +file):\n%s", def.Source, diff)
		}
	}
}

func TestNotificationsLosesNothingFromItsMiddle(t *testing.T) {
	defs := builtin(t)
	if len(defs) != 1 || defs[0].Name != "NOTIFICATIONS" {
		t.Fatalf("built-in streams: %+v", defs)
	}
	cfg := defs[0].Config
	switch {
	case cfg.Retention != jetstream.LimitsPolicy, cfg.Discard != jetstream.DiscardOld,
		cfg.MaxMsgsPerSubject > 0, cfg.AllowRollup, !cfg.DenyDelete, !cfg.DenyPurge:
		t.Errorf("events can vanish from the middle of %+v", cfg)
	case !cfg.AllowMsgTTL:
		t.Error("an event cannot have a lifetime of its own")
	case cfg.MaxConsumers <= 1000:
		t.Errorf("max_consumers %d does not lift the server's default", cfg.MaxConsumers)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadDirAndMerge(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "z.json", `{"name":"ALERTS","subjects":["alerts.>"],"max_age":3600000000000}`)
	write(t, dir, "a.json", `{"config":{"name":"NOTIFICATIONS","subjects":["n.>"],"storage":"memory",
		"metadata":{"team":"harbour","_nats.level":"1"}},"created":"2026-01-02T03:04:05Z","state":{"messages":3}}`)
	write(t, dir, "README.txt", "not a stream")

	defs, err := streams.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	merged := streams.Merge(builtin(t), defs)
	if len(merged) != 2 || merged[0].Name != "ALERTS" || merged[1].Name != "NOTIFICATIONS" {
		t.Fatalf("merged: %+v", merged)
	}
	want := streams.Definition{
		Name: "NOTIFICATIONS", Source: filepath.Join(dir, "a.json"),
		Config: jetstream.StreamConfig{
			Name: "NOTIFICATIONS", Subjects: []string{"n.>"}, Storage: jetstream.MemoryStorage,
			Metadata: map[string]string{"team": "harbour"},
		},
	}
	if diff := cmp.Diff(want, merged[1]); diff != "" {
		t.Errorf("the directory does not win (-want +got):\n%s", diff)
	}
}

func TestLoadDirReportsEveryFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "1.json", `{"name":"A"}`)
	write(t, dir, "2.json", `{"name":"A"}`)
	write(t, dir, "3.json", `{"name":"B","max_agee":1,"storage":"fil"}`)
	_, err := streams.LoadDir(dir)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		filepath.Join(dir, "2.json") + ": name", filepath.Join(dir, "1.json"),
		filepath.Join(dir, "3.json") + ": max_agee", filepath.Join(dir, "3.json") + ": storage",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %q:\n%v", want, err)
		}
	}
	if _, err := streams.LoadDir(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there is no error")
	}
	if _, err := streams.LoadDir(filepath.Join(dir, "1.json")); err == nil {
		t.Error("a file as directory is no error")
	}
}

func TestParseErrorsNameTheKey(t *testing.T) {
	for name, tt := range map[string]struct{ json, want string }{
		"not JSON":              {`{"name"`, "JSON object"},
		"a list":                {`[]`, "JSON object"},
		"null":                  {`null`, "null"},
		"two objects":           {`{"name":"A"}{"name":"B"}`, "one file defines one stream"},
		"no name":               {`{"subjects":["a"]}`, "name: "},
		"name with a dot":       {`{"name":"A.B"}`, `name: "A.B"`},
		"unknown key":           {`{"name":"A","max_agee":1}`, "max_agee: "},
		"unknown in config":     {`{"config":{"name":"A","max_agee":1}}`, "max_agee: "},
		"unknown beside config": {`{"config":{"name":"A"},"subjects":["a"]}`, "subjects: "},
		"unknown within a key":  {`{"name":"A","mirror":{"nam":"B"}}`, `mirror: unknown field "nam"`},
		"other capitals":        {`{"name":"A","Max_Age":1}`, "Max_Age: "},
		"duration as text":      {`{"name":"A","max_age":"7d"}`, "max_age: a JSON string does not fit here, it must be a whole number of nanoseconds"},
		"number too large":      {`{"name":"A","max_msg_size":4294967296}`, "max_msg_size: "},
		"unknown enum":          {`{"name":"A","discard":"odl"}`, "discard: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := streams.Parse("s.json", []byte(tt.json))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "s.json: ") {
				t.Errorf("got %v, want s.json: ... %s", err, tt.want)
			}
		})
	}
}
