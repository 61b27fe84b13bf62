//go:build unix

package streambackup_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/streambackup"
)

// Opening a FIFO without a writer blocks without end.
func TestCheck_FIFO_IsRefused(t *testing.T) {
	for _, file := range []string{"backup.json", "stream.arc.s2"} {
		dir := writeBackup(t, "EVENTS", nil, jetstream.StreamConfig{Name: "EVENTS"})
		name := filepath.Join(dir, file)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Skip(err)
		}
		_, err := streambackup.Check(t.Context(), dir, streambackup.RestoreOptions{})
		wantError(t, err, file+" is not a regular file, but a FIFO")
		_, err = streambackup.Find(name)
		wantError(t, err, "is not the directory of a backup: not a directory")
	}
}
