package doctor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/server"
)

// documentedServer reads the configuration of docs/operate/nats-permissions.md; all passwords are "secret".
func documentedServer(t *testing.T) *natsserver.Options {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate", "nats-permissions.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```conf\n(.*?)^```$").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/operate/nats-permissions.md has no configuration")
	}
	for _, name := range regexp.MustCompile(`\$(\w+_PASSWORD)`).FindAllSubmatch(block[1], -1) {
		t.Setenv(string(name[1]), "secret")
	}
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, block[1], 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := natsserver.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.StoreDir = "127.0.0.1", natsserver.RANDOM_PORT, t.TempDir()
	return opts
}

// startServer runs a NATS server until the test ends, and returns its host and port.
func startServer(t *testing.T, opts *natsserver.Options) string {
	t.Helper()
	opts.NoSigs, opts.NoLog = true, true
	srv, err := natsserver.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(sync.OnceFunc(func() { srv.Shutdown(); srv.WaitForShutdown() }))
	if !srv.ReadyForConnections(waitTimeout) {
		t.Fatal("the NATS server is not ready")
	}
	return strings.TrimPrefix(srv.Addr().String(), "nats://")
}

// asUser are settings for one of the documented users.
func asUser(t *testing.T, addr, user string) doctor.Options {
	opts := settings(t, "nats://"+addr)
	opts.NATS.User, opts.NATS.Password = user, "secret"
	opts.Config.Node.Micro = user == "tidemark-presence"
	opts.Config.Presence.Enabled = user == "tidemark-presence"
	if opts.Config.Presence.Enabled {
		opts.Config.Presence.Events = "tidemark.presence"
	}
	opts.Config.Publish.Enabled = config.Off
	if user == "tidemark" || user == "tidemark-provision" {
		opts.Config.Publish.Enabled = config.On
	}
	opts.Config.Streams.Apply = user == "tidemark-provision"
	return opts
}

// state lists what is in JetStream.
func state(t *testing.T, addr string) (all []string) {
	t.Helper()
	_, js := jetStream(t, "nats://operator:secret@"+addr)
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		all = append(all, info.Config.Name, info.Created.String(), "messages", string(rune('0'+info.State.Msgs)), "consumers", string(rune('0'+info.State.Consumers)))
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// TestPermissions_DocumentedUsers_AllPermittedAndNothingLeft runs as each user of docs/operate/nats-permissions.md.
func TestPermissions_DocumentedUsers_AllPermittedAndNothingLeft(t *testing.T) {
	for _, user := range []string{"tidemark", "tidemark-provision", "tidemark-read", "tidemark-presence"} {
		t.Run(user, func(t *testing.T) {
			addr := startServer(t, documentedServer(t))
			if user != "tidemark-provision" {
				_, js := jetStream(t, "nats://operator:secret@"+addr)
				createStream(t, js, builtin(t))
			}
			before := state(t, addr)
			report := doctor.Run(t.Context(), asUser(t, addr, user))
			want(t, report, doctor.OK, "permissions", "all ")
			wantNone(t, report, "nats", "permissions", "clock")
			if after := state(t, addr); !slices.Equal(before, after) {
				t.Errorf("left behind: %q, before: %q", after, before)
			}
		})
	}
}

// TestPermissions_OneIsMissing_IsNamed takes each documented permission away in turn.
func TestPermissions_OneIsMissing_IsNamed(t *testing.T) {
	documented := documentedServer(t)
	for _, user := range []string{"tidemark-provision", "tidemark-presence"} {
		p := permissionsOf(t, documented, user)
		for _, dropped := range slices.Concat(p.Publish.Allow, p.Subscribe.Allow) {
			t.Run(user+"/"+dropped, func(t *testing.T) {
				opts := documentedServer(t)
				mine := permissionsOf(t, opts, user)
				mine.Publish.Allow = slices.DeleteFunc(mine.Publish.Allow, func(s string) bool { return s == dropped })
				mine.Subscribe.Allow = slices.DeleteFunc(mine.Subscribe.Allow, func(s string) bool { return s == dropped })
				addr := startServer(t, opts)
				if !strings.Contains(dropped, "STREAM.CREATE") {
					_, js := jetStream(t, "nats://operator:secret@"+addr)
					createStream(t, js, builtin(t))
					createStream(t, js, jetstream.StreamConfig{Name: server.RevocationStream, Subjects: []string{server.RevokeSubject}})
				}
				report := doctor.Run(t.Context(), asUser(t, addr, user))
				named := strings.TrimSuffix(dropped, ">") // the finding has a subject, or the documented permission
				if found := lines(report, "permissions"); !strings.Contains(found, named) || strings.Contains(found, "ok permissions") {
					t.Errorf("not named:\n%s", found)
				}
			})
		}
	}
}

func permissionsOf(t *testing.T, opts *natsserver.Options, user string) *natsserver.Permissions {
	t.Helper()
	for _, u := range opts.Users {
		if u.Username == user {
			return u.Permissions
		}
	}
	t.Fatalf("there is no user %s", user)
	return nil
}

// TestPermissions_NoJetStream_NamesDomain: an account without JetStream, or another domain than is
// configured.
func TestPermissions_NoJetStream_NamesDomain(t *testing.T) {
	plain := startServer(t, &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT})
	want(t, doctor.Run(t.Context(), settings(t, "nats://"+plain)), doctor.Problem, "stream NOTIFICATIONS", "JetStream does not answer", "nats.domain")

	opts := settings(t, startNATS(t))
	opts.Config.NATS.Domain, opts.Timeout = "elsewhere", 10*time.Second
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "stream NOTIFICATIONS", "JetStream does not answer", "nats.domain")
}
