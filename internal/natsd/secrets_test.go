package natsd_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tidemark/tidemark/internal/natsd"
)

func TestSecretFiles_PerDirective(t *testing.T) {
	t.Setenv("NATSD_TEST_SECRET", "from-the-environment")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.conf"), []byte(`users: [ {user: a, password: hunter2} ]`), 0o600); err != nil {
		t.Fatal(err)
	}
	file, included := filepath.Join(dir, "nats.conf"), filepath.Join(dir, "users.conf")
	for conf, want := range map[string][]string{
		`server_name: a`: {},
		`authorization { user: a, password: hunter2 }`:                                                  {file},
		`authorization { token: hunter2 }`:                                                              {file},
		`PW: hunter2, authorization { user: a, password: $PW }`:                                         {file},
		`authorization { user: a, password: $NATSD_TEST_SECRET }`:                                       {},
		`authorization { include users.conf }`:                                                          {included},
		`jetstream { key: hunter2 }`:                                                                    {file},
		`leafnodes { remotes: [ { url: "nats://a:hunter2@h:1" } ] }`:                                    {file},
		`leafnodes { remotes: [ { url: "nats://h:1", credentials: "/c.creds" } ] }`:                     {"/c.creds"},
		`authorization { users: [ {nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4} ] }`: {},
	} {
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := natsd.SecretFiles(file); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", conf, got, want)
		}
	}
}
