package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// natsContexts writes contexts of the nats command, and returns the XDG_CONFIG_HOME for them.
func natsContexts(t *testing.T, selected string, contexts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "nats", "context"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"context.txt": selected}
	for name, text := range contexts {
		files[filepath.Join("context", name+".json")] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "nats", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "XDG_CONFIG_HOME=" + dir
}

func TestNATSVariables_NothingConfigured_AreUsed(t *testing.T) {
	n := load(t, Options{Environ: []string{
		"NATS_URL=nats://n:4222", "NATS_CREDS=~/my.creds", "NATS_CA=ca.pem", "NATS_CERT=c.pem", "NATS_KEY=k.pem", "HOME=/home/me",
	}}).NATS
	if n.URL != "nats://n:4222" || n.Credentials != "/home/me/my.creds" || n.TLS.CA != "ca.pem" || n.TLS.Cert != "c.pem" || n.TLS.Key != "k.pem" {
		t.Errorf("%+v", n)
	}
	if want := []string{"NATS_URL", "NATS_CREDS", "NATS_CA", "NATS_CERT", "NATS_KEY"}; !slices.Equal(n.Source.Used, want) {
		t.Errorf("used: %v, want %v", n.Source.Used, want)
	}
	for name, c := range map[string]struct {
		environ []string
		want    NATS
	}{
		"nkey":                   {[]string{"NATS_NKEY=seed"}, NATS{NKey: "seed"}},
		"user and password":      {[]string{"NATS_USER=u", "NATS_PASSWORD=p"}, NATS{User: "u", Password: "p"}},
		"a user alone, a token":  {[]string{"NATS_USER=t"}, NATS{Token: "t"}},
		"a file beats a context": {[]string{"NATS_CREDS=c"}, NATS{Credentials: "c"}},
	} {
		n := load(t, Options{Environ: append(c.environ, "NATS_URL=nats://n:4222")}).NATS
		if n.NKey != c.want.NKey || n.User != c.want.User || n.Password != c.want.Password || n.Token != c.want.Token || n.Credentials != c.want.Credentials {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// A login is for the server that it was set with.
func TestNATSVariables_WithConfiguration_RankBelowIt(t *testing.T) {
	for name, c := range map[string]struct {
		opts          Options
		url, login    string
		used, ignored bool
	}{
		"nats.url in the file": {Options{File: file(t, "nats: {url: nats://f}"), Environ: []string{"NATS_URL=nats://e", "NATS_CREDS=c"}}, "nats://f", "", false, true},
		"nats.url as variable": {Options{Environ: []string{"TIDEMARK_NATS_URL=nats://t", "NATS_URL=nats://e", "NATS_CREDS=c"}}, "nats://t", "", false, true},
		"nats.url as flag":     {Options{Flags: flags(t, "--nats.url", "nats://g"), Environ: []string{"NATS_URL=nats://e"}}, "nats://g", "", false, true},
		"a login alone":        {Options{File: file(t, "nats: {url: nats://f}"), Environ: []string{"NATS_CREDS=c"}}, "nats://f", "c", true, false},
		"a login of the file":  {Options{File: file(t, "nats: {url: nats://f, credentials: d}"), Environ: []string{"NATS_USER=u", "NATS_PASSWORD=p"}}, "nats://f", "d", true, false},
		"a domain by a flag":   {Options{Flags: flags(t, "--nats.domain", "hub"), Environ: []string{"NATS_URL=nats://e"}}, "nats://e", "", true, false},
		"serve, no server":     {Options{Environ: []string{"NATS_CREDS=c"}, Serve: true}, "", "", false, true},
		"embedded, a command":  {Options{Environ: []string{"NATS_CREDS=c"}}, "", "c", true, false},
	} {
		n := load(t, c.opts).NATS
		if n.URL != c.url || n.Credentials != c.login || n.Password != "" {
			t.Errorf("%s: %+v", name, n)
		}
		if (len(n.Source.Used) > 0) != c.used || (len(n.Source.Ignored) > 0) != c.ignored || c.ignored != (n.Source.Why != "") {
			t.Errorf("%s: source %+v", name, n.Source)
		}
	}
}

func TestNATSVariables_Serve_KeepsEmbeddedServerInUse(t *testing.T) {
	t.Chdir(t.TempDir())
	url := "NATS_URL=nats://e:4222"
	if n := load(t, Options{Serve: true, Environ: []string{url}}).NATS; n.URL != "nats://e:4222" {
		t.Errorf("nothing is embedded: %+v", n)
	}
	n := load(t, Options{Serve: true, Environ: []string{url, "TIDEMARK_NATS_EMBEDDED_DIR=elsewhere"}}).NATS
	if n.URL != "" || !strings.Contains(n.Source.Why, "nats.embedded is set") {
		t.Errorf("nats.embedded.dir is set: %+v", n)
	}
	if err := os.MkdirAll(Default().NATS.Embedded.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n = load(t, Options{Serve: true, Environ: []string{url}}).NATS
	if n.URL != "" || !strings.Contains(n.Source.Why, "has a store in ./data/nats") {
		t.Errorf("there is a store: %+v", n)
	}
	if n := load(t, Options{Environ: []string{url}}).NATS; n.URL != "nats://e:4222" {
		t.Errorf("a command, which starts no server: %+v", n)
	}
}

func TestNATSContext_AllFields_AreUsed(t *testing.T) {
	home := natsContexts(t, "prod\n", map[string]string{"prod": `{
		"description": "d", "url": "nats://p:4222", "token": "", "creds": "$HOME/my.creds", "ca": "~/ca", "cert": "~/c", "key": "~/k",
		"jetstream_domain": "hub", "jetstream_event_prefix": "", "inbox_prefix": "_IN", "tls_first": true, "color_scheme": "red"
	}`, "other": `{"user": "u", "password": "p", "jetstream_api_prefix": "JS.api"}`, "nkey": `{"url": "n", "nkey": "~/seed"}`, "token": `{"url": "n", "token": "t"}`})
	want := NATS{
		URL: "nats://p:4222", Name: "tidemark", Credentials: "/home/me/my.creds", Domain: "hub", InboxPrefix: "_IN",
		TLS:      NATSTLS{CA: "/home/me/ca", ClientCert: ClientCert{Cert: "/home/me/c", Key: "/home/me/k"}, HandshakeFirst: true},
		Embedded: Default().NATS.Embedded,
	}
	for name, opts := range map[string]Options{
		"prod":     {Flags: flags(t, "--nats.context", "prod"), Environ: []string{home, "HOME=/home/me", "NATS_URL=nats://ignored"}},
		"selected": {File: file(t, "nats: {context: selected}"), Environ: []string{home, "HOME=/home/me"}, Serve: true},
	} {
		got := load(t, opts).NATS
		if !slices.Equal(got.Source.Used, []string{"nats.context " + name}) {
			t.Errorf("source: %+v", got.Source)
		}
		got.Source = NATSSource{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	other := load(t, Options{Environ: []string{home, "NATS_CONTEXT=other"}}).NATS
	if other.URL != defaultNATS || other.User != "u" || other.Password != "p" || other.APIPrefix != "JS.api" {
		t.Errorf("other: %+v", other)
	}
	if n := load(t, Options{Environ: []string{home, "NATS_CONTEXT=other", "NATS_URL=nats://e", "NATS_CREDS=c"}}).NATS; n.URL != "nats://e" || n.Credentials != "c" || n.User != "" {
		t.Errorf("the variables do not override NATS_CONTEXT: %+v", n)
	}
	if n := load(t, Options{Environ: []string{home, "HOME=/home/me", "TIDEMARK_NATS_CONTEXT=nkey"}}).NATS; n.NKey != "/home/me/seed" {
		t.Errorf("nkey: %+v", n)
	}
	if n := load(t, Options{Environ: []string{home, "TIDEMARK_NATS_CONTEXT=token"}}).NATS; n.Token != "t" {
		t.Errorf("token: %+v", n)
	}
}

func TestNATSContext_CannotBeUsed_NamesRemedy(t *testing.T) {
	home := natsContexts(t, "", map[string]string{"ok": `{"url": "n"}`, "nsc": `{"nsc": "nsc://o/a/u"}`, "bad": `{"url": `, "url": `{"url": "ftp://x"}`})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"missing":     {[]string{"--nats.context=nosuch"}, "nats context ls"},
		"a path":      {[]string{"--nats.context=../ok"}, "is not the name of a context"},
		"selected":    {[]string{"--nats.context=selected"}, "no context is selected"},
		"unsupported": {[]string{"--nats.context=nsc"}, "its field nsc is not supported"},
		"no JSON":     {[]string{"--nats.context=bad"}, "not have the format of the nats command"},
		"wrong url":   {[]string{"--nats.context=url"}, "nats.url"},
		"url too":     {[]string{"--nats.context=ok", "--nats.url=nats://x"}, "nats.url is set too"},
		"domain too":  {[]string{"--nats.context=ok", "--nats.domain=x"}, "nats.domain is set too"},
	} {
		_, err := Load(Options{Flags: flags(t, c.args...), Environ: []string{home}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if n := load(t, Options{File: file(t, "nats: {url: nats://f}"), Flags: flags(t, "--nats.url=", "--nats.context=ok"), Environ: []string{home}}).NATS; n.URL != "n" {
		t.Errorf("an empty flag does not take the place of the file's: %+v", n)
	}
}

func TestValidate_JetStreamPrefixes_InvalidOnesNameTheKey(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"domain with a dot":       {"nats: {url: n, domain: a.b}", "nats.domain"},
		"both":                    {"nats: {url: n, domain: a, api_prefix: b}", "nats.domain is set too"},
		"wildcard":                {"nats: {url: n, api_prefix: 'a.>'}", "nats.api_prefix"},
		"inbox with an end dot":   {"nats: {inbox_prefix: 'a.'}", "nats.inbox_prefix"},
		"inbox with a wildcard":   {"nats: {inbox_prefix: 'a.*'}", "nats.inbox_prefix"},
		"embedded has no domain":  {"nats: {domain: a}", "nats.domain.*set nats.url"},
		"embedded has no TLS":     {"nats: {tls: {handshake_first: true}}", "handshake_first.*set nats.url"},
		"streams.max_bytes small": {"streams: {max_bytes: 1KiB}", "streams.max_bytes"},
	} {
		_, err := Load(Options{File: file(t, c.yaml), Environ: []string{}, Serve: true})
		before, after, _ := strings.Cut(c.want, ".*")
		if err == nil || !strings.Contains(err.Error(), before) || !strings.Contains(err.Error(), after) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	load(t, Options{File: file(t, "nats: {url: n, api_prefix: JS.hub.API., inbox_prefix: _INBOX_a.b}")})
}
