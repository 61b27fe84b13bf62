package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// file writes a configuration file and returns its name.
func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tidemark.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	BindFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func load(t *testing.T, opts Options) Config {
	t.Helper()
	if opts.Environ == nil {
		opts.Environ = []string{}
	}
	cfg, err := Load(opts)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestLoad_NoSources_ReturnsDefaults(t *testing.T) {
	for name, opts := range map[string]Options{
		"nothing":    {},
		"flags":      {Flags: flags(t)},
		"empty file": {File: file(t, "")},
		"only nulls": {File: file(t, "http:\nnats:\n  url:\nfeeds:\n")},
	} {
		if diff := cmp.Diff(Default(), load(t, opts)); diff != "" {
			t.Errorf("%s (-default +loaded):\n%s", name, diff)
		}
	}
}

func TestReference_Loaded_EqualsDefaults(t *testing.T) {
	if diff := cmp.Diff(Default(), load(t, Options{File: reference})); diff != "" {
		t.Errorf("-default +tidemark.yaml:\n%s", diff)
	}
}

func TestLoad_SeveralSources_FlagsOverrideEnvironmentOverridesFile(t *testing.T) {
	opts := Options{File: file(t, `
insecure: true
http: {addr: "f:1", shutdown_timeout: 1s}
sse: {retry: 1s}
nats: {embedded: {sync: 2m}}
`)}
	expect := func(addr string, retry time.Duration) {
		t.Helper()
		cfg := load(t, opts)
		if cfg.HTTP.Addr != addr || cfg.SSE.Retry != retry || cfg.HTTP.ShutdownTimeout != time.Second {
			t.Errorf("addr %s retry %s shutdown %s, want %s %s 1s", cfg.HTTP.Addr, cfg.SSE.Retry, cfg.HTTP.ShutdownTimeout, addr, retry)
		}
		if cfg.NATS.Embedded.Sync != Sync(2*time.Minute) {
			t.Errorf("sync %s, want 2m", cfg.NATS.Embedded.Sync)
		}
	}
	expect("f:1", time.Second)
	opts.Environ = []string{"TIDEMARK_HTTP_ADDR=e:2", "TIDEMARK_SSE_RETRY=2s", "TIDEMARK_HTTP_SHUTDOWN_TIMEOUT=", "PATH=/bin"}
	expect("e:2", 2*time.Second)
	opts.Flags = flags(t, "--http.addr", "g:3")
	expect("g:3", 2*time.Second)
}

// another returns a value of a key that is not its default, as text.
func (k key) another(target any) string {
	if len(k.values) > 0 {
		return k.values[len(k.values)-1]
	}
	switch v := k.field(target).(type) {
	case *bool:
		return strconv.FormatBool(!*v)
	case *int:
		return strconv.Itoa(*v + 1)
	case *time.Duration:
		return (*v + time.Second).String()
	case *Size:
		return (*v + KiB).String()
	case *Share:
		return "0.5"
	case *Sync, *DrainDelay:
		return "3m"
	case *Switch:
		return "false"
	case *[]string:
		return "a=1,b=2"
	}
	return "x"
}

func TestEveryKey_ByFileVariableAndFlag_IsLoadedAndPrinted(t *testing.T) {
	everyKey(t, configKeys, Default)
}

// everyKey sets each key of a struct by each of the sources.
func everyKey[T any](t *testing.T, keys keySet, defaults func() T) {
	t.Helper()
	for _, k := range keys.scalars() {
		value := func() *T { v := defaults(); return &v }
		want := value()
		other := k.another(want)
		if err := assign(k.field(want), other); err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		if text(k.field(want)) == k.def {
			t.Errorf("%s: %s is its default", k.name, other)
		}
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		keys.bindFlags(fs)
		if secret := k.secret == tagValue; (fs.Lookup(k.name) == nil) != secret {
			t.Errorf("%s: a secret with a flag, or another key without", k.name)
		} else if !secret {
			if err := fs.Parse([]string{"--" + k.name + "=" + other}); err != nil {
				t.Fatal(err)
			}
		}
		var printed bytes.Buffer
		if err := keys.print(&printed, want); err != nil {
			t.Fatal(err)
		}
		for way, opts := range map[string]Options{
			"variable": {Environ: []string{k.env() + "=" + other}},
			"file":     {File: file(t, k.name+": "+other)},
			"flag":     {Flags: fs},
			"print":    {File: file(t, printed.String())},
		} {
			if k.secret == tagValue && (way == "flag" || way == "print") {
				continue
			}
			got := value()
			var p problems
			if err := errors.Join(keys.load(got, opts, &p), p.err()); err != nil {
				t.Errorf("%s by %s: %v", k.name, way, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s by %s: -want +got:\n%s", k.name, way, diff)
			}
		}
	}
}

func TestLoad_FileNamedByOptionFlagOrEnvironment_IsRead(t *testing.T) {
	name := file(t, "log: {level: warn}")
	for way, opts := range map[string]Options{
		"option":      {File: name},
		"flag":        {Flags: flags(t, "--config", name)},
		"environment": {Flags: flags(t), Environ: []string{"TIDEMARK_CONFIG=" + name}},
	} {
		if got := load(t, opts).Log.Level; got != "warn" {
			t.Errorf("%s: log.level is %s", way, got)
		}
	}
}

func TestLoad_FeedsInFile_ReplaceTheDefault(t *testing.T) {
	cfg := load(t, Options{File: file(t, `
feeds:
  orders:
    paths: [/orders]
    stream: ORDERS
    subjects: ["orders.{tenant}.{user}"]
    allow: ["orders.{tenant}.>"]
    replay: consumer
`)})
	want := map[string]Feed{"orders": {
		Paths: []string{"/orders"}, Stream: "ORDERS", Subjects: []string{"orders.{tenant}.{user}"},
		Allow: []string{"orders.{tenant}.>"}, Replay: ReplayConsumer,
	}}
	if diff := cmp.Diff(want, cfg.Feeds); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := load(t, Options{File: file(t, "feeds: {}")}).Feeds; len(got) != 0 {
		t.Errorf("feeds: {} leaves %v", got)
	}
}

func TestFlags_Secrets_HaveNone(t *testing.T) {
	for _, name := range []string{"nats.password", "nats.token"} {
		if flags(t).Lookup(name) != nil {
			t.Errorf("there is a flag --%s", name)
		}
	}
}

func TestFlags_BoolWithoutValue_IsTrue(t *testing.T) {
	if !load(t, Options{Flags: flags(t, "--streams.apply")}).Streams.Apply {
		t.Error("--streams.apply does not set it")
	}
}

func TestLoad_ServiceLinksOfOrchestrators_AreIgnored(t *testing.T) {
	load(t, Options{Environ: []string{
		"TIDEMARK_SERVICE_HOST=10.0.0.1", "TIDEMARK_SERVICE_PORT=8080", "TIDEMARK_SERVICE_PORT_HTTP=8080",
		"TIDEMARK_PORT=tcp://10.0.0.1:8080", "TIDEMARK_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"TIDEMARK_PORT_8080_TCP_ADDR=10.0.0.1", "TIDEMARK_NATS_SERVICE_HOST=10.0.0.2",
	}})
}

func TestPrint_LoadedAgain_EqualsTheConfiguration(t *testing.T) {
	cfg := load(t, Options{Environ: []string{"TIDEMARK_HTTP_CORS_ORIGINS=https://a.example", "TIDEMARK_SSE_MAX_AGE=90m", "TIDEMARK_NATS_EMBEDDED_SYNC=2m"}})
	cfg.Feeds["true"] = cfg.Feeds["notifications"] // a name that YAML must quote
	delete(cfg.Feeds, "notifications")
	for _, want := range []Config{cfg, Default()} {
		var out bytes.Buffer
		if err := want.Print(&out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, load(t, Options{File: file(t, out.String())})); diff != "" {
			t.Errorf("-printed +loaded:\n%s\n%s", diff, out.String())
		}
	}
}

func TestPrint_Secrets_AreRedacted(t *testing.T) {
	cfg := Default()
	cfg.NATS.URL = "nats://me:hush@a:4222,token-hush@b:4222,tls://c:4222"
	cfg.NATS.Password, cfg.NATS.Token = "hush", "hush"
	var out bytes.Buffer
	if err := cfg.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hush") {
		t.Errorf("a secret shows:\n%s", out.String())
	}
	if want := "url: nats://REDACTED@a:4222,REDACTED@b:4222,tls://c:4222\n"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in:\n%s", want, out.String())
	}
}
