package config

import (
	"strings"
	"testing"
	"time"
)

// A message names the key, its origin and the remedy.
func TestLoad_SeveralProblems_AllAreReported(t *testing.T) {
	name := file(t, `
http:
  adr: x
  addr: localhost
sse: {retry: soon, heartbeat: 15, max_age: 1day}
window: 64
log: {level: loud}
feeds:
  notifications:
    paths: [events]
    stream: NOTI*
`)
	_, err := Load(Options{
		File:    name,
		Flags:   flags(t, "--publish.max_batch=many"),
		Environ: []string{"TIDEMARK_HTTP_ADR=:1", "TIDEMARK_SSE_MAX_IDLE=-1s", "TIDEMARK_FEEDS_X_STREAM=Y", "TIDEMARK_ZZZZZZ=", "TIDEMARK_LIMITS_STREAMS=1"},
	})
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{
		"TIDEMARK_HTTP_ADR: there is no such variable; did you mean TIDEMARK_HTTP_ADDR?",
		"TIDEMARK_FEEDS_X_STREAM: there is no such variable; feeds can be set in the file only",
		"TIDEMARK_ZZZZZZ: there is no such variable; see docs/reference/configuration.md",
		"TIDEMARK_LIMITS_STREAMS: there is no such variable; see docs/reference/configuration.md",
		"http.adr (from " + name + "): there is no such key; did you mean http.addr?",
		"window (from " + name + "): it must be a mapping of keys, not a value",
		"sse.retry (from " + name + `): "soon" is not a duration`,
		"sse.heartbeat (from " + name + `): "15" is not a duration; write a number and a unit`,
		"sse.max_age (from " + name + `): "1day" is not a duration`,
		`publish.max_batch (from --publish.max_batch): "many" is not a whole number`,
		"sse.max_idle (from TIDEMARK_SSE_MAX_IDLE): -1s is too short",
		"log.level (from " + name + `): "loud" is not known; write one of trace, debug`,
		"http.addr (from " + name + `): "localhost" is not an address`,
		"feeds.notifications.paths (from " + name + `): "events" must begin with /`,
		"feeds.notifications.stream (from " + name + `): "NOTI*" is not a name of a stream`,
		"feeds.notifications.subjects (from " + name + "): it is missing",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("line %d:\ngot\n%s\nwant\n%s", i+1, err, strings.Join(want, "\n"))
		}
	}
}

// YAML reads false and numbers as they are, and not as text.
func TestLoad_KeyWithFewValuesIsNotText_ErrorNamesThem(t *testing.T) {
	name := file(t, "http: {engine: false}\nlog: {level: 3}\nfeeds: {a: {paths: [/a], stream: A, subjects: [a.>], replay: true}}\n")
	_, err := Load(Options{File: name, Environ: []string{}})
	for _, want := range []string{
		"http.engine (from " + name + `): "false" is not known; write one of auto, off`, `"3" is not known; write one of trace, debug, info, warn, error`,
		`feeds.a.replay (from ` + name + `): "true" is not known; write one of auto, consumer`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
}

func TestLoad_UnreadableFile_ErrorNamesIt(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"not YAML":      {"http: [", "did not find"},
		"a list":        {"- http", "cannot unmarshal"},
		"a key twice":   {"log: {level: info}\nlog: {level: warn}", "already defined at line 1"},
		"two documents": {"log: {}\n---\nlog: {}", "more than one YAML document"},
	} {
		name2 := file(t, tt.content)
		_, err := Load(Options{File: name2, Environ: []string{}})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), name2) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
	if _, err := Load(Options{File: "none.yaml", Environ: []string{}}); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestValidate_Settings_InvalidOnesNameTheKey(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string // of the message; empty for fine
	}{
		"certificate without key":   {func(c *Config) { c.HTTP.TLS.Cert = "c" }, "http.tls.key: "},
		"key without certificate":   {func(c *Config) { c.HTTP.TLS.Key = "k" }, "http.tls.cert: "},
		"self-signed":               {func(c *Config) { c.HTTP.TLS.SelfSigned, c.HTTP.TLS.TicketKeys = true, "k" }, ""},
		"self-signed with files":    {func(c *Config) { c.HTTP.TLS = HTTPTLS{SelfSigned: true, Cert: "c", Key: "k"} }, "http.tls.self_signed: http.tls.cert or http.tls.key is set too"},
		"self-signed for others":    {func(c *Config) { c.HTTP.TLS.SelfSigned, c.HTTP.Addr, c.Insecure = true, ":8080", true }, "http.tls.self_signed: other machines can reach :8080"},
		"ticket keys without TLS":   {func(c *Config) { c.HTTP.TLS.TicketKeys = "k" }, "http.tls.ticket_keys: it has no effect without TLS; set http.tls.cert and http.tls.key, or http.tls.self_signed, or remove this"},
		"an unknown engine":         {func(c *Config) { c.HTTP.Engine = "on" }, "http.engine: "},
		"any origin":                {func(c *Config) { c.HTTP.CORS.Origins = []string{"*"} }, ""},
		"origin with port":          {func(c *Config) { c.HTTP.CORS.Origins = []string{"http://localhost:5173"} }, ""},
		"origin with path":          {func(c *Config) { c.HTTP.CORS.Origins = []string{"https://a.example/"} }, "http.cors.origins: "},
		"origin without scheme":     {func(c *Config) { c.HTTP.CORS.Origins = []string{"a.example"} }, "http.cors.origins: "},
		"wildcard in origin":        {func(c *Config) { c.HTTP.CORS.Origins = []string{"https://*.a.example"} }, "http.cors.origins: "},
		"credentials for any":       {func(c *Config) { c.HTTP.CORS = CORS{Origins: []string{"*"}, Credentials: true} }, "http.cors.credentials: "},
		"several servers":           {func(c *Config) { c.NATS.URL = "nats://a:4222, b:4222" }, ""},
		"server by http":            {func(c *Config) { c.NATS.URL = "http://a:4222" }, "nats.url: "},
		"empty server":              {func(c *Config) { c.NATS.URL = "nats://a:4222," }, "nats.url: "},
		"login without server":      {func(c *Config) { c.NATS.Token = "t" }, "nats.token: "},
		"two logins":                {func(c *Config) { c.NATS.URL, c.NATS.Token, c.NATS.NKey = "nats://a", "t", "s" }, "nats.token: nats.nkey is set too"},
		"password without user":     {func(c *Config) { c.NATS.URL, c.NATS.Password = "nats://a", "p" }, "nats.user: "},
		"no store":                  {func(c *Config) { c.NATS.Embedded.Dir = "" }, "nats.embedded.dir: "},
		"embedded is not looked at": {func(c *Config) { c.NATS.URL, c.NATS.Embedded = "nats://a", Embedded{} }, ""},
		"more replicas than NATS":   {func(c *Config) { c.Streams.Replicas = 6 }, "streams.replicas: "},
		"retry without a pause":     {func(c *Config) { c.SSE.Retry = 0 }, "sse.retry: "},
		"later without a pause":     {func(c *Config) { c.SSE.RetryLater = 0 }, "sse.retry_later: "},
		"limit below zero":          {func(c *Config) { c.Limits.PerUser = -1 }, "limits.connections_per_user: "},
		"proxies":                   {func(c *Config) { c.HTTP.TrustedProxies = []string{"10.0.0.0/8", "192.0.2.7", "fd00::/8", "::1"} }, ""},
		"proxy by name":             {func(c *Config) { c.HTTP.TrustedProxies = []string{"10.0.0.0/8", "proxy.example"} }, "http.trusted_proxies: "},
		"proxies of no width":       {func(c *Config) { c.HTTP.TrustedProxies = []string{"10.0.0.0/33"} }, "http.trusted_proxies: "},
		"rate below zero":           {func(c *Config) { c.Limits.ConnectsPerSecond = -1 }, "limits.connects_per_second: "},
		"rate without a burst":      {func(c *Config) { c.Limits.ConnectsBurst = 0 }, "limits.connects_burst: "},
		"no rate, no burst":         {func(c *Config) { c.Limits = Limits{ReplayBytes: MiB} }, ""},
		"replays without room":      {func(c *Config) { c.Limits.ReplayBytes = MiB - 1 }, "limits.replay_bytes: 1048575 is too little"},
		"burst below a batch":       {func(c *Config) { c.Limits.PublishesBurst = 999 }, "limits.publishes_burst: 999 is less than the 1000 events of publish.max_batch"},
		"no window":                 {func(c *Config) { c.Window.Bytes = 0 }, "window.bytes: "},
		"subjects unknown":          {func(c *Config) { c.Publish.Subjects = "all" }, `publish.subjects: "all" is not known; write one of feeds, stream`},
		"lifetime below zero":       {func(c *Config) { c.Auth.JWT.MaxLifetime = -1 }, "auth.jwt.max_lifetime: "},
		"event too large":           {func(c *Config) { c.Publish.MaxBytes = GiB }, "publish.max_bytes: "},
		"node":                      {func(c *Config) { c.Node.Name = "a.b" }, "node.name: "},
		"a bucket of no name":       {func(c *Config) { c.Presence.Bucket = "" }, "presence.bucket: "},
		"a bucket with dots":        {func(c *Config) { c.Presence.Bucket = "a.b" }, "presence.bucket: "},
		"a short life":              {func(c *Config) { c.Presence.TTL = time.Second }, "presence.ttl: "},
		"six replicas":              {func(c *Config) { c.Presence.Replicas = 6 }, "presence.replicas: "},
		"events with wildcards":     {func(c *Config) { c.Presence.Enabled, c.Presence.Events = true, "a.*" }, "presence.events: "},
		"events":                    {func(c *Config) { c.Presence.Enabled, c.Presence.Events = true, "tidemark.presence" }, ""},
		"events of nothing":         {func(c *Config) { c.Presence.Events = "tidemark.presence" }, "presence.events: "},
		"a user's path":             {func(c *Config) { setPath(c, "/connections/x") }, "feeds.notifications.paths: "},
		"users":                     {func(c *Config) { c.Log.Users = "none" }, "log.users: "},
		"a key for nothing":         {func(c *Config) { c.Log.UsersKey = "key" }, "log.users_key: "},
		"a collector with a user":   {func(c *Config) { c.Traces.Endpoint = "http://u:p@c:4318/v1/traces" }, "traces.endpoint: "},
		"a collector of no scheme":  {func(c *Config) { c.Traces.Endpoint = "c:4318" }, "traces.endpoint: "},
		"too many traces":           {func(c *Config) { c.Traces.Rate = 0 }, "traces.rate: "},
		"a collector of no path":    {func(c *Config) { c.Traces.Endpoint = "http://c:4318" }, "traces.endpoint: "},
		"format":                    {func(c *Config) { c.Log.Format = "xml" }, "log.format: "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			tt.change(&cfg)
			expect(t, cfg.Validate(), tt.want)
		})
	}
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("it should be fine: %v", err)
	case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
		t.Errorf("got %v, want %s", err, want)
	case want != "" && strings.Contains(err.Error(), "\n"):
		t.Errorf("one problem, several messages: %v", err)
	}
}

func TestValidate_Feeds_InvalidOnesNameTheKey(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Feed)
		want   string // after "feeds.f."; empty for fine
	}{
		"unchanged":            {func(*Feed) {}, ""},
		"only allow":           {func(f *Feed) { f.Subjects, f.Allow = nil, []string{"a.>"} }, ""},
		"variable in allow":    {func(f *Feed) { f.Allow = []string{"a.{user}.*"} }, ""},
		"no path":              {func(f *Feed) { f.Paths = nil }, "paths: "},
		"relative path":        {func(f *Feed) { f.Paths = []string{"f"} }, "paths: "},
		"wildcard in path":     {func(f *Feed) { f.Paths = []string{"/f/*"} }, "paths: "},
		"variable in path":     {func(f *Feed) { f.Paths = []string{"/f/:id"} }, "paths: "},
		"path not clean":       {func(f *Feed) { f.Paths = []string{"/f/"} }, `paths: "/f/" must be written as /f`},
		"path of the service":  {func(f *Feed) { f.Paths = []string{"/healthz"} }, "paths: "},
		"path twice":           {func(f *Feed) { f.Paths = []string{"/f", "/f"} }, "paths: /f is already a path of feeds.f"},
		"no stream":            {func(f *Feed) { f.Stream = "" }, "stream: "},
		"wildcard in stream":   {func(f *Feed) { f.Stream = "A*" }, "stream: "},
		"nothing to read":      {func(f *Feed) { f.Subjects = nil }, "subjects: "},
		"wildcard in subjects": {func(f *Feed) { f.Subjects = []string{"a.user.*"} }, "subjects: "},
		"variable in a token":  {func(f *Feed) { f.Subjects = []string{"a.u{user}"} }, "subjects: "},
		"space in subject":     {func(f *Feed) { f.Subjects = []string{"a b"} }, "subjects: "},
		"> in the middle":      {func(f *Feed) { f.Allow = []string{"a.>.b"} }, "allow: "},
		"replay":               {func(f *Feed) { f.Replay = "never" }, "replay: "},
	} {
		t.Run(name, func(t *testing.T) {
			f := Feed{Paths: []string{"/f"}, Stream: "F", Subjects: []string{"a.{user}"}, Replay: ReplayAuto}
			tt.change(&f)
			cfg := Default()
			cfg.Feeds = map[string]Feed{"f": f}
			if tt.want != "" {
				tt.want = "feeds.f." + tt.want
			}
			expect(t, cfg.Validate(), tt.want)
		})
	}
}

func TestValidate_PathOfTwoFeeds_IsReported(t *testing.T) {
	cfg := Default()
	cfg.Feeds["zz"] = Feed{Paths: []string{"/events"}, Stream: "F", Subjects: []string{"a"}, Replay: ReplayAuto}
	expect(t, cfg.Validate(), "feeds.zz.paths: /events is already a path of feeds.notifications")
}

func TestLoad_InvalidFeedInFile_NamesTheKey(t *testing.T) {
	for content, want := range map[string]string{
		"feeds: 5":                     "feeds ",
		"feeds: {f: 5}":                "feeds.f ",
		"feeds: {f: {sbjects: [a]}}":   "feeds.f.sbjects ",
		"feeds: {f: {subjects: a.b}}":  "feeds.f.paths ", // text by comma is a list too
		"feeds: {f: {subjects: [1]}}":  "feeds.f.subjects ",
		"feeds: {Loud: {stream: F}}":   "feeds.Loud ",
		"feeds: {f: {stream: [A, B]}}": "feeds.f.stream ",
	} {
		_, err := Load(Options{File: file(t, content), Environ: []string{}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", content, err, want)
		}
	}
}

func TestSize_Text_IsParsed(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "1000": 1000, "1KiB": 1024, "64MiB": 64 * MiB, "64 MiB": 64 * MiB, "2GiB": 2 * GiB, "67108864": 64 * MiB,
		"": -1, "-1": -1, "1MB": -1, "1.5MiB": -1, "MiB": -1, "9223372036854775807KiB": -1,
	} {
		got := Size(-1)
		if err := got.UnmarshalText([]byte(text)); (err != nil) != (want < 0) || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
}

func setPath(c *Config, path string) {
	f := c.Feeds["notifications"]
	f.Paths = []string{path}
	c.Feeds["notifications"] = f
}
