package streambackup_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/streambackup"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/internal/testkit/leaks"
)

func TestMain(m *testing.M) { leaks.VerifyTestMain(m) }

const stream = "EVENTS"

// server is an embedded NATS server with an empty store.
type server struct {
	t  *testing.T
	nc *nats.Conn
	js jetstream.JetStream
}

func newServer(t *testing.T) *server {
	t.Helper()
	embedded, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Stop)
	nc, err := nats.Connect("", embedded.InProcess())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &server{t, nc, js}
}

func (s *server) create(metadata map[string]string) {
	s.t.Helper()
	cfg := jetstream.StreamConfig{Name: stream, Subjects: []string{"events.>"}, Metadata: metadata, DenyDelete: true}
	if _, err := s.js.CreateStream(s.t.Context(), cfg); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) publish(n int) {
	s.t.Helper()
	body := make([]byte, 10_000)
	_, _ = rand.Read(body) // which cannot be compressed: the archive has many blocks
	for range n {
		if _, err := s.js.Publish(s.t.Context(), "events.a", body); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *server) info() *jetstream.StreamInfo {
	s.t.Helper()
	found, err := s.js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	return found.CachedInfo()
}

func (s *server) backup(parent string) streambackup.Summary {
	s.t.Helper()
	sum, err := streambackup.Backup(s.t.Context(), s.js, stream, parent)
	if err != nil {
		s.t.Fatal(err)
	}
	return sum
}

func (s *server) restore(dir string, change streambackup.RestoreOptions) (streambackup.Summary, error) {
	s.t.Helper()
	return streambackup.Restore(s.t.Context(), s.js, dir, change)
}

func (s *server) wantNoStream() {
	s.t.Helper()
	if _, err := s.js.Stream(s.t.Context(), stream); !errors.Is(err, jetstream.ErrStreamNotFound) {
		s.t.Errorf("the stream is there after a restore that failed: %v", err)
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %v, want one with %q", err, text)
	}
}

// Every event acknowledged before the backup is in the backup, while a publisher continues.
func TestBackup_UnderPublishing_RestoresAllThatWasAcknowledged(t *testing.T) {
	s := newServer(t)
	s.create(map[string]string{"owner": "test"})
	s.publish(500)
	var acked atomic.Uint64
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			ack, err := s.js.Publish(t.Context(), "events.b", fmt.Append(nil, n))
			if err != nil {
				t.Error(err)
				return
			}
			acked.Store(ack.Sequence)
		}
	})
	testkit.Eventually(t, time.Minute, "a publisher at work", func() bool { return acked.Load() > 520 })
	before := acked.Load()
	sum := s.backup(t.TempDir())
	close(stop)
	publishing.Wait()
	if sum.LastSeq < before || sum.Stream != stream || sum.Messages != sum.LastSeq {
		t.Errorf("the summary is %+v; %d was acknowledged before the backup", sum, before)
	}

	fresh := newServer(t)
	restored, err := fresh.restore(sum.Dir, streambackup.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info := fresh.info()
	if restored.LastSeq != info.State.LastSeq || info.State.LastSeq < sum.LastSeq || info.State.Msgs != info.State.LastSeq {
		t.Errorf("restored %+v, the stream holds %+v; the backup was %+v", restored, info.State, sum)
	}
	if !info.Config.DenyDelete || info.Config.Metadata["owner"] != "test" {
		t.Errorf("the configuration is %+v", info.Config)
	}
	fresh.publish(1)
}

func TestRestore_StreamExists_IsRefused(t *testing.T) {
	s := newServer(t)
	s.create(nil)
	s.publish(3)
	sum := s.backup(t.TempDir())
	s.publish(2)
	_, err := s.restore(sum.Dir, streambackup.RestoreOptions{})
	wantError(t, err, "nats.embedded.dir")
	if last := s.info().State.LastSeq; last != 5 {
		t.Errorf("the stream ends with %d after a restore that was refused, want 5", last)
	}
}

func TestBackup_DirectoryExists_IsRefused(t *testing.T) {
	s := newServer(t)
	s.create(nil)
	parent := t.TempDir()
	s.backup(parent)
	_, err := streambackup.Backup(t.Context(), s.js, stream, parent)
	wantError(t, err, "name another directory")
}

func TestBackup_NoSuchStream_LeavesNothing(t *testing.T) {
	s := newServer(t)
	parent := filepath.Join(t.TempDir(), "backup")
	_, err := streambackup.Backup(t.Context(), s.js, stream, parent)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(parent); !os.IsNotExist(err) {
		t.Errorf("%s: %v", parent, err)
	}
}

// A damaged backup leaves no partial stream, which could be mistaken for the whole.
func TestRestore_DamagedBackup_LeavesNoStream(t *testing.T) {
	s := newServer(t)
	s.create(nil)
	s.publish(400)
	for name, damage := range map[string]func(*testing.T, string, []byte) []byte{
		"truncated": func(_ *testing.T, _ string, archive []byte) []byte { return archive[:len(archive)/2] },
		"empty":     func(*testing.T, string, []byte) []byte { return nil },
		"changed": func(_ *testing.T, _ string, archive []byte) []byte {
			archive[len(archive)/2] ^= 0xff
			return archive
		},
		"older than its state": func(t *testing.T, dir string, archive []byte) []byte {
			rewriteMetadata(t, dir, func(m map[string]any) { m["state"].(map[string]any)["last_seq"] = 401 })
			return archive
		},
	} {
		t.Run(name, func(t *testing.T) {
			sum := s.backup(t.TempDir())
			file := filepath.Join(sum.Dir, "stream.arc.s2")
			archive, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(t, sum.Dir, archive), 0o600); err != nil {
				t.Fatal(err)
			}
			fresh := newServer(t)
			if _, err := fresh.restore(sum.Dir, streambackup.RestoreOptions{}); err == nil {
				t.Error("a damaged backup was restored")
			} else {
				t.Log(err)
			}
			fresh.wantNoStream()
		})
	}
}

func rewriteMetadata(t *testing.T, dir string, change func(map[string]any)) {
	t.Helper()
	name := filepath.Join(dir, "backup.json")
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	if raw, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Positions from before a restore must not be continued, because the sequences after the backup are
// reused.
func TestRestore_Epoch_IsAlwaysAnother(t *testing.T) {
	chosen := func(epoch string) streambackup.RestoreOptions {
		return streambackup.RestoreOptions{Epoch: func(string) string { return epoch }}
	}
	t.Run("by creation time", func(t *testing.T) {
		s := newServer(t)
		s.create(nil)
		sum, before := s.backup(t.TempDir()), s.info()
		fresh := newServer(t)
		if _, err := fresh.restore(sum.Dir, chosen("")); err != nil {
			t.Fatal(err)
		}
		if after := fresh.info(); !after.Created.After(before.Created) {
			t.Errorf("created %s before and %s after", before.Created, after.Created)
		}
	})
	t.Run("chosen", func(t *testing.T) {
		s := newServer(t)
		s.create(map[string]string{"tidemark.epoch": "one"})
		sum := s.backup(t.TempDir())
		fresh := newServer(t)
		for _, epoch := range []string{"", "one"} {
			_, err := fresh.restore(sum.Dir, chosen(epoch))
			wantError(t, err, "set another tidemark.epoch")
		}
		fresh.wantNoStream()
		if _, err := fresh.restore(sum.Dir, chosen("two")); err != nil {
			t.Fatal(err)
		}
		if got := fresh.info().Config.Metadata["tidemark.epoch"]; got != "two" {
			t.Errorf("the epoch is %q", got)
		}
	})
	t.Run("archive of an old server", func(t *testing.T) {
		s := newServer(t)
		s.create(nil)
		sum := s.backup(t.TempDir())
		// The format decides, not the name, because the backup may be from the nats command.
		var archive bytes.Buffer
		w := s2.NewWriter(&archive)
		if _, err := w.Write(make([]byte, 1024)); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"stream.arc.s2", "stream.tar.s2"} {
			if err := os.RemoveAll(filepath.Join(sum.Dir, "stream.arc.s2")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(sum.Dir, name), archive.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			fresh := newServer(t)
			_, err := fresh.restore(sum.Dir, chosen(""))
			wantError(t, err, "before 2.15")
			fresh.wantNoStream()
		}
	})
}

func TestRestore_ReplicasAndSize_TakeThePlaceOfTheBackups(t *testing.T) {
	s := newServer(t)
	s.create(nil)
	sum := s.backup(t.TempDir())
	rewriteMetadata(t, sum.Dir, func(m map[string]any) { m["config"].(map[string]any)["num_replicas"] = 3 })
	fresh := newServer(t)
	if _, err := fresh.restore(sum.Dir, streambackup.RestoreOptions{}); err == nil {
		t.Error("three copies on one server")
	}
	if _, err := fresh.restore(sum.Dir, streambackup.RestoreOptions{Replicas: 1, MaxBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if cfg := fresh.info().Config; cfg.Replicas != 1 || cfg.MaxBytes != 1<<20 {
		t.Errorf("the configuration is %+v", cfg)
	}
}

func TestFind_NoBackup_SaysWhatIsMissing(t *testing.T) {
	_, err := streambackup.Find(t.TempDir())
	wantError(t, err, "holds no backup")
	wantError(t, err, "backup.json")
	_, err = streambackup.Find(filepath.Join(t.TempDir(), "none"))
	wantError(t, err, "none is not the directory of a backup: ")
	wantError(t, err, "; name a directory that `tidemark stream backup` wrote")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = streambackup.Find(file)
	wantError(t, err, "file is not the directory of a backup: ")
}
