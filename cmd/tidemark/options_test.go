package main

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/server"
)

// keysElsewhere are keys that serve uses outside of the options of the server.
var keysElsewhere = map[string]string{
	"nats.context":  "Load replaces it by the settings of the context",
	"log.level":     "newLogger",
	"log.format":    "newLogger",
	"log.users":     "newLogger",
	"log.users_key": "newLogger",
}

// fieldsElsewhere are options that no key sets.
var fieldsElsewhere = map[string]string{
	"LogLevel":               "serve sets it for operators",
	"HTTP.HeadTimeout":       "not configurable",
	"HTTP.BodyTimeout":       "not configurable",
	"Node.Version":           "of the build",
	"Presence.Interval":      "follows from TTL",
	"NATS.InProcess":         "the server sets it for its embedded server",
	"NATS.Denied":            "the server sets it",
	"NATS.Wait":              "for tests",
	"NATS.Secondary":         "the server sets it for its further connections",
	"NATS.Bulk":              "the server sets it for replays",
	"NATS.Once":              "for commands",
	"Embedded.ServerName":    "of nats.embedded.config",
	"Embedded.MaxPayload":    "of nats.embedded.config",
	"Embedded.NodeLogin":     "the server sets it from NATS",
	"Auth.JWT.Types":         "not configurable",
	"Auth.JWT.MaxToken":      "not configurable",
	"Auth.JWT.AnyAudience":   "of auth.jwt.audience with *",
	"Auth.Header.Ignored":    "the server sets it",
	"Auth.JWT.JWKS":          "not configurable",
	"Auth.JWT.AllowNoExpiry": "not configurable",
}

// optionsOf are the options of a configuration that has only these keys.
func optionsOf(t *testing.T, values map[string]string) server.Options {
	t.Helper()
	environ := []string{}
	for key, value := range values {
		environ = append(environ, envOf(key)+"="+value)
	}
	cfg, err := config.Load(config.Options{Environ: environ, Unchecked: true})
	if err != nil {
		t.Fatal(err)
	}
	opts, err := serverOptions(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("%v: %v", values, err)
	}
	return opts
}

func envOf(key string) string {
	return config.EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// otherValues has a value for each key that a variable can set, which is not its default.
func otherValues(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	definition := `{"name": "OTHER", "subjects": ["other.>"]}`
	for name, text := range map[string]string{key: "0123456789abcdef", filepath.Join(dir, "other.json"): definition} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	values := map[string]string{
		"nats.password": "x", "nats.token": "x",
		"http.trusted_proxies": "10.0.0.7", "auth.header.trusted": "10.0.0.8", "auth.header.encoding": "percent",
		"auth.tag_key": key, "streams.replicas": "3", "streams.dir": dir, "auth.jwt.claims": "a=b", "auth.header.vars": "a=b",
		"http.drain_delay": "9s", "http.engine": "off", "nats.embedded.sync": "9s", "publish.subjects": "stream", "traces.sample": "0.5",
		"publish.enabled": "true", "console.enabled": "false", "docs.enabled": "false", "log.level": "warn", "log.format": "json", "log.users": "off",
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.BindFlags(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		if _, given := values[f.Name]; !given && f.Name != "config" {
			values[f.Name] = otherValue(f.DefValue)
		}
	})
	return values
}

func otherValue(def string) string {
	if n, err := strconv.Atoi(def); err == nil {
		return strconv.Itoa(n + 1)
	}
	if on, err := strconv.ParseBool(def); err == nil {
		return strconv.FormatBool(!on)
	}
	if d, err := time.ParseDuration(def); err == nil {
		return (d + time.Second).String()
	}
	if strings.HasSuffix(def, "iB") {
		return "3" + def
	}
	return "x" + def
}

func TestServerOptions_EveryKey_ReachesThem(t *testing.T) {
	values := otherValues(t)
	before := optionsOf(t, nil)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if keysElsewhere[key] != "" {
			continue
		}
		if changed := difference(before, optionsOf(t, map[string]string{key: values[key]})); len(changed) == 0 {
			t.Errorf("%s=%s changes no option of the server", key, values[key])
		}
	}
}

func TestServerOptions_EveryField_FollowsFromAKey(t *testing.T) {
	before := optionsOf(t, nil)
	changed := make(map[string]bool)
	for key, value := range otherValues(t) {
		if key == "nats.context" {
			continue
		}
		for _, field := range difference(before, optionsOf(t, map[string]string{key: value})) {
			changed[field] = true
		}
	}
	cfg := config.Default()
	cfg.Feeds = nil
	cfg.NATS.Embedded.Users = []config.EmbeddedUser{{Name: "u"}}
	fromFile, err := serverOptions(cfg, before.Logger)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range difference(before, fromFile) {
		changed[field] = true
	}
	for _, field := range leaves("", reflect.ValueOf(before), nil) {
		if !changed[field] && fieldsElsewhere[field] == "" && !strings.HasSuffix(field, "Logger") {
			t.Errorf("no key changes the option %s", field)
		}
	}
}

// difference are the names of the fields that differ.
func difference(a, b server.Options) (fields []string) {
	all := make(map[string]any)
	leaves("", reflect.ValueOf(a), func(name string, v any) { all[name] = v })
	leaves("", reflect.ValueOf(b), func(name string, v any) {
		if !reflect.DeepEqual(all[name], v) {
			fields = append(fields, name)
		}
	})
	return fields
}

// leaves calls visit for each field that is not a struct, and returns their names.
func leaves(prefix string, v reflect.Value, visit func(name string, v any)) (names []string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := prefix + f.Name
		if f.Type.Kind() == reflect.Struct && fieldsElsewhere[name] == "" {
			names = append(names, leaves(name+".", v.Field(i), visit)...)
			continue
		}
		names = append(names, name)
		if visit != nil && f.Type.Kind() != reflect.Func {
			visit(name, v.Field(i).Interface())
		}
	}
	return names
}

func TestFeedOptions_EveryField_IsSet(t *testing.T) {
	cfg := config.Default()
	cfg.Feeds = map[string]config.Feed{"f": {Paths: []string{"/f"}, Stream: "F", Subjects: []string{"a"}, Allow: []string{"b"}, Replay: config.ReplayConsumer}}
	feeds, err := feedOptions(cfg)
	if err != nil || len(feeds) != 1 {
		t.Fatal(feeds, err)
	}
	v := reflect.ValueOf(feeds[0])
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not set: %s", v.Type().Field(i).Name, fmt.Sprintf("%+v", feeds[0]))
		}
	}
}

func TestMemoryBudget_FeedsOfOneStream_CountItOnce(t *testing.T) {
	cfg := config.Config{Feeds: map[string]config.Feed{"a": {Stream: "ONE"}, "b": {Stream: "ONE"}, "c": {Stream: "TWO"}}}
	cfg.Window.Bytes, cfg.Limits.ReplayBytes = 30<<20, 40<<20
	if got := memoryBudget(cfg); got.Windows != 60<<20 || got.Replays != 40<<20 || !got.Embedded {
		t.Errorf("%+v", got)
	}
	cfg.NATS.URL = "nats://127.0.0.1:4222"
	if memoryBudget(cfg).Embedded {
		t.Error("embedded with nats.url")
	}
}

// TestHTTPOptions_DrainDelayAuto_IsZeroInDevelopment: no load balancer has to notice the end of such a node.
func TestHTTPOptions_DrainDelayAuto_IsZeroInDevelopment(t *testing.T) {
	if atTerminal() {
		t.Skip("at a terminal it is always zero")
	}
	for dev, want := range map[bool]time.Duration{false: 5 * time.Second, true: 0} {
		cfg := config.Default()
		cfg.Dev = dev
		opts, err := httpOptions(cfg)
		if err != nil || opts.DrainDelay != want {
			t.Errorf("dev %t: %s, %v; want %s", dev, opts.DrainDelay, err, want)
		}
	}
}
