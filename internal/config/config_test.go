package config

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
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

func TestNothingGivenIsTheDefault(t *testing.T) {
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

func TestReferenceEqualsTheDefaultsAndHasEveryKey(t *testing.T) {
	if diff := cmp.Diff(Default(), load(t, Options{File: "../../config/tidemark.yaml"})); diff != "" {
		t.Errorf("-default +tidemark.yaml:\n%s", diff)
	}
	tree, err := readYAML("../../config/tidemark.yaml")
	if err != nil {
		t.Fatal(err)
	}
	delete(tree, "feeds")
	got := make(map[string]any)
	flatten("", tree, got)
	want := slices.Sorted(slices.Values(append(keyNames(), usersKey)))
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("-keys +tidemark.yaml:\n%s", diff)
	}
}

func TestFlagsBeatEnvironmentBeatsFile(t *testing.T) {
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

func TestEveryKeyByEveryWay(t *testing.T) {
	values := map[string]string{
		"http.addr": ":9", "dev": "false", "admin.addr": ":7", "http.tls.cert": "c", "http.tls.key": "k", "http.cors.origins": "https://a.example, https://b.example",
		"http.cors.credentials": "true", "http.shutdown_timeout": "1m", "http.cors.headers": "X-A, X-B", "http.hosts": "a.example, *.b.example", "http.base_path": "/t", "http.drain_delay": "2s", "nats.url": "tls://n:4222", "nats.name": "n",
		"nats.credentials": "f", "nats.nkey": "", "nats.user": "", "nats.password": "", "nats.token": "",
		"nats.context": "", "nats.domain": "d", "nats.api_prefix": "", "nats.inbox_prefix": "i.x", "nats.tls.handshake_first": "true", "streams.max_bytes": "2MiB", "nats.tls.ca": "a", "nats.tls.cert": "c", "nats.tls.key": "k", "nats.embedded.addr": ":8", "nats.embedded.dir": "/d",
		"nats.embedded.sync": "3m", "nats.embedded.config": "nats.conf", "nats.embedded.account": "", "streams.dir": "s", "streams.replicas": "3", "streams.apply": "true", "sse.retry": "3s", "sse.heartbeat": "4s",
		"sse.write_timeout": "5s", "sse.retry_later": "1m", "limits.streams": "12", "limits.per_user": "13", "limits.per_address": "14", "limits.sockets": "20", "limits.sockets_per_address": "21", "limits.replays": "15", "limits.replay_bytes": "7MiB",
		"limits.last_subjects": "20", "limits.last_waiting": "21", "limits.last_waiting_per_user": "22", "limits.last_waiting_per_address": "23",
		"limits.connects_per_second": "16", "limits.connects_burst": "17", "limits.publishes_per_second": "18", "limits.publishes_burst": "19",
		"sse.max_age": "6h", "sse.max_idle": "7m", "sse.drain_period": "8s", "window.events": "8", "window.bytes": "9KiB",
		"http.trusted_proxies": "10.0.0.0/8, 192.0.2.1", "insecure": "true", "auth.identity": "jwt,anonymous",
		"auth.jwt.secret_file": "", "auth.jwt.public_key_file": "k.pem", "auth.jwt.jwks_file": "", "auth.jwt.jwks_url": "", "auth.jwt.algorithms": "EdDSA",
		"auth.jwt.issuer": "i", "auth.jwt.audience": "a,b", "auth.jwt.leeway": "1s", "auth.jwt.max_lifetime": "24h", "auth.jwt.cookie": "c", "auth.jwt.query": "true",
		"auth.jwt.claims": "user=sub,city=address.city", "auth.jwt.widen_claim": "w", "auth.jwt.narrow_claim": "n", "auth.jwt.publish_claim": "p", "auth.jwt.presence_claim": "pr",
		"node.name": "n1", "node.micro": "false", "presence.enabled": "true", "presence.bucket": "B", "presence.ttl": "9s", "presence.replicas": "3", "presence.events": "t.p",
		"auth.header.user": "X-U", "auth.header.vars": "city=X-City", "auth.header.expires": "X-U-Expires", "auth.header.encoding": "percent", "auth.header.trusted": "10.0.0.7,10.1.0.0/16", "auth.tag_key": "tk", "publish.keys": "keys", "publish.enabled": "false", "publish.subjects": "stream", "publish.max_bytes": "10KiB", "publish.max_batch": "11", "console.enabled": "false", "docs.enabled": "false", "traces.endpoint": "http://c:4318/v1/traces", "traces.sample": "0.5", "traces.rate": "7", "log.level": "debug", "log.format": "json", "log.users": "hash", "log.users_key": "uk",
	}
	var environ, args, yaml []string
	for _, k := range keys {
		value, ok := values[k.name]
		if !ok {
			t.Fatalf("the test has no value for %s", k.name)
		}
		if value == "" {
			continue
		}
		environ = append(environ, k.env()+"="+value)
		args = append(args, "--"+k.name+"="+value)
		yaml = append(yaml, k.name+": "+value)
	}
	byEnv := load(t, Options{Environ: environ})
	for _, k := range keys {
		want := strings.ReplaceAll(values[k.name], ", ", ",")
		if got := text(k.field(&byEnv)); got != want {
			t.Errorf("%s is %q, want %q", k.name, got, want)
		}
	}
	if diff := cmp.Diff(byEnv, load(t, Options{Flags: flags(t, args...)})); diff != "" {
		t.Errorf("-environment +flags:\n%s", diff)
	}
	if diff := cmp.Diff(byEnv, load(t, Options{File: file(t, strings.Join(yaml, "\n"))})); diff != "" {
		t.Errorf("-environment +file:\n%s", diff)
	}
}

func TestFileIsNamedByOptionFlagAndEnvironment(t *testing.T) {
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

func TestFeedsOfAFileReplaceTheDefault(t *testing.T) {
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

func TestSecretsHaveNoFlags(t *testing.T) {
	for _, name := range []string{"nats.password", "nats.token"} {
		if flags(t).Lookup(name) != nil {
			t.Errorf("there is a flag --%s", name)
		}
	}
}

func TestBoolFlagNeedsNoValue(t *testing.T) {
	if !load(t, Options{Flags: flags(t, "--streams.apply")}).Streams.Apply {
		t.Error("--streams.apply does not set it")
	}
}

func TestServiceLinksOfOrchestratorsAreNoSettings(t *testing.T) {
	load(t, Options{Environ: []string{
		"TIDEMARK_SERVICE_HOST=10.0.0.1", "TIDEMARK_SERVICE_PORT=8080", "TIDEMARK_SERVICE_PORT_HTTP=8080",
		"TIDEMARK_PORT=tcp://10.0.0.1:8080", "TIDEMARK_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"TIDEMARK_PORT_8080_TCP_ADDR=10.0.0.1", "TIDEMARK_NATS_SERVICE_HOST=10.0.0.2",
	}})
}

func TestPrintLoadsAgain(t *testing.T) {
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

func TestPrintRedactsSecrets(t *testing.T) {
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
