package streambackup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/streambackup"
)

// own are the streams of the service, as the command has them.
var own = map[string][]string{"TIDEMARK_REVOCATIONS": {"tidemark.revoke"}}

// writeBackup makes a directory with the configuration of a stream, and the archive of another backup.
func writeBackup(t *testing.T, dir string, archive []byte, cfg jetstream.StreamConfig) string {
	t.Helper()
	dir = filepath.Join(t.TempDir(), dir)
	text, err := json.Marshal(map[string]any{"config": cfg, "state": map[string]any{}})
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "backup.json"), text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "stream.arc.s2"), archive, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func realArchive(t *testing.T) []byte {
	t.Helper()
	s := newServer(t)
	s.create(nil)
	raw, err := os.ReadFile(filepath.Join(s.backup(t.TempDir()).Dir, "stream.arc.s2"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCheck_ConfigurationOfAnotherStream_IsRefused(t *testing.T) {
	archive := realArchive(t)
	external := &jetstream.StreamSource{Name: "ORDERS", External: &jetstream.ExternalStream{APIPrefix: "$JS.hub.API"}}
	for name, c := range map[string]struct {
		dir    string
		cfg    jetstream.StreamConfig
		change streambackup.RestoreOptions
		want   string // empty where it is accepted
	}{
		"as it was":            {"EVENTS", jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}}, streambackup.RestoreOptions{}, ""},
		"another directory":    {"NOTIFICATIONS", jetstream.StreamConfig{Name: "EVENTS"}, streambackup.RestoreOptions{}, "rename the directory"},
		"escapes in the name":  {"EVENTS", jetstream.StreamConfig{Name: "EV\x1b[2J"}, streambackup.RestoreOptions{}, `"EV\x1b[2J" is not the name of a stream`},
		"two tokens":           {"A.B", jetstream.StreamConfig{Name: "A.B"}, streambackup.RestoreOptions{}, "is not the name of a stream"},
		"revocations":          {"TIDEMARK_REVOCATIONS", jetstream.StreamConfig{Name: "TIDEMARK_REVOCATIONS", Subjects: own["TIDEMARK_REVOCATIONS"]}, streambackup.RestoreOptions{}, ""},
		"other revocations":    {"TIDEMARK_REVOCATIONS", jetstream.StreamConfig{Name: "TIDEMARK_REVOCATIONS", Subjects: []string{"tidemark.revoke", "orders.>"}}, streambackup.RestoreOptions{}, "this stream of Tidemark has the subjects"},
		"sourced revocations":  {"TIDEMARK_REVOCATIONS", jetstream.StreamConfig{Name: "TIDEMARK_REVOCATIONS", Subjects: own["TIDEMARK_REVOCATIONS"], Sources: []*jetstream.StreamSource{{Name: "EVIL"}}}, streambackup.RestoreOptions{AllowExternal: true}, "neither mirror, sources"},
		"overlaps revocations": {"EVENTS", jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>", "*.revoke"}}, streambackup.RestoreOptions{}, `"*.revoke" overlaps with those of TIDEMARK_REVOCATIONS`},
		"bucket":               {"KV_users", jetstream.StreamConfig{Name: "KV_users", Subjects: []string{"$KV.users.>"}}, streambackup.RestoreOptions{}, ""},
		"bucket's name alone":  {"KV_users", jetstream.StreamConfig{Name: "KV_users", Subjects: []string{"orders.>"}}, streambackup.RestoreOptions{}, "key-value bucket"},
		"external source":      {"EVENTS", jetstream.StreamConfig{Name: "EVENTS", Sources: []*jetstream.StreamSource{{Name: "A"}, external}}, streambackup.RestoreOptions{}, "--allow-external"},
		"external mirror":      {"EVENTS", jetstream.StreamConfig{Name: "EVENTS", Mirror: external}, streambackup.RestoreOptions{}, "--allow-external"},
		"permitted mirror":     {"EVENTS", jetstream.StreamConfig{Name: "EVENTS", Mirror: external}, streambackup.RestoreOptions{AllowExternal: true}, ""},
		"source of the server": {"EVENTS", jetstream.StreamConfig{Name: "EVENTS", Sources: []*jetstream.StreamSource{{Name: "A"}}}, streambackup.RestoreOptions{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.change.Own = own
			found, err := streambackup.Check(t.Context(), writeBackup(t, c.dir, archive, c.cfg), c.change)
			switch {
			case c.want != "":
				wantError(t, err, c.want)
			case err != nil || found.Config.Name != c.cfg.Name:
				t.Errorf("found %+v, %v", found, err)
			}
		})
	}
}

// Restore checks by itself, too.
func TestRestore_ConfigurationOfAnotherStream_LeavesNoStream(t *testing.T) {
	s := newServer(t)
	s.create(nil)
	sum := s.backup(t.TempDir())
	rewriteMetadata(t, sum.Dir, func(m map[string]any) { m["config"].(map[string]any)["subjects"] = []string{"tidemark.>"} })
	fresh := newServer(t)
	_, err := fresh.restore(sum.Dir, streambackup.RestoreOptions{Own: own})
	wantError(t, err, "overlaps with those of TIDEMARK_REVOCATIONS")
	fresh.wantNoStream()
}

func TestCheck_LargeMetadata_IsRefused(t *testing.T) {
	dir := writeBackup(t, "EVENTS", nil, jetstream.StreamConfig{Name: "EVENTS"})
	if err := os.Truncate(filepath.Join(dir, "backup.json"), 1<<40); err != nil { // sparse
		t.Skip(err)
	}
	_, err := streambackup.Check(t.Context(), dir, streambackup.RestoreOptions{})
	wantError(t, err, "has more than 4 MiB")
}

func TestCheck_LinksAndDirectories_AreRefused(t *testing.T) {
	archive := realArchive(t)
	for _, file := range []string{"backup.json", "stream.arc.s2"} {
		for kind, put := range map[string]func(name string) error{
			"a symbolic link": func(name string) error {
				return errors.Join(os.Rename(name, name+".moved"), os.Symlink(name+".moved", name))
			},
			"a directory": func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) },
		} {
			dir := writeBackup(t, "EVENTS", archive, jetstream.StreamConfig{Name: "EVENTS"})
			if err := put(filepath.Join(dir, file)); err != nil {
				t.Skip(err) // Windows has no links for all users
			}
			_, err := streambackup.Check(t.Context(), dir, streambackup.RestoreOptions{})
			wantError(t, err, file+" is not a regular file, but "+kind)
		}
	}
}

// An archive may begin with any amount of padding, which is read until the context ends.
func TestCheck_ContextEnds_Returns(t *testing.T) {
	padding := []byte{0xfe, 0xfc, 0xff, 0x00} // a skippable chunk of 65,532 bytes
	padding = bytes.Repeat(append(padding, make([]byte, 65_532)...), 64)
	dir := writeBackup(t, "EVENTS", padding, jetstream.StreamConfig{Name: "EVENTS"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := streambackup.Check(ctx, dir, streambackup.RestoreOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
