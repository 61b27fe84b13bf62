package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// tidemark runs the command against the service's configuration.
func (s *service) tidemark(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(command(s.t), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "TIDEMARK_NATS_EMBEDDED_ADDR="+s.natsAddr, "TIDEMARK_NATS_EMBEDDED_DIR="+s.storeDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tidemark %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (s *service) storeDir() string { return filepath.Join(s.dir, "nats") }

func (s *service) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if status := s.wait(); status != 0 {
		s.t.Fatalf("the service ended with status %d", status)
	}
}

// TestBackup_RestoredIntoFreshDirectory_ClientsAreSentEpochGap makes a backup while events are published, and
// restores it. Clients reconnect with positions from before and after the backup: both receive the gap with the
// reason epoch, and all events of the restored stream.
func TestBackup_RestoredIntoFreshDirectory_ClientsAreSentEpochGap(t *testing.T) {
	t.Parallel()
	const beforeBackup, afterBackup, later = 210, 420, 490
	s := serve(t, "--sse.heartbeat=1s")
	p := newProducer(t, s)
	p.publish(1, 70)
	early := follow(t, "client that was there before the backup", s.url("/events?user=42&from=all"), 0)
	early.wantExactly(numbersOf(me, 70))
	p.publish(71, beforeBackup)

	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(beforeBackup+1, afterBackup) })
	p.awaitStored(beforeBackup + 20)
	acked := int(p.stored.Load())
	backup := filepath.Join(t.TempDir(), "backup")
	t.Log(s.tidemark("stream", "backup", backup))
	publishing.Wait()
	early.wantExactly(numbersOf(me, afterBackup))
	s.stop()

	if err := os.Rename(s.storeDir(), s.storeDir()+".before"); err != nil {
		t.Fatal(err)
	}
	t.Log(s.tidemark("stream", "restore", backup))
	s.start()
	s.awaitReady()
	restored := follow(t, "client without a position", s.url("/events?user=42&from=all"), 0)
	p.publish(afterBackup+1, later)
	eventually(t, "the last event", func() bool { return slices.Contains(restored.numbers(), later) })
	kept := slices.DeleteFunc(restored.numbers(), func(n int) bool { return n > afterBackup })
	newest := slices.Max(kept)
	if newest < slices.Max(numbersOf(me, acked)) || !slices.Equal(kept, numbersOf(me, newest)) {
		t.Errorf("%d was acknowledged before the backup; the restored stream has %v", acked, kept)
	}
	want := slices.Concat(numbersOf(me, afterBackup), restored.numbers())
	eventually(t, "the last event for the client that stayed", func() bool { return slices.Contains(early.numbers(), later) })
	if got := early.numbers(); !slices.Equal(got, want) {
		t.Errorf("%s: %s", early.name, firstDifference(got, want))
	}
	early.wantGaps("epoch")
	restored.wantGaps()
}

// TestEmbeddedStore_DirectoryIsMoved_ClientsResume: a directory that is moved while the service is stopped keeps all positions.
func TestEmbeddedStore_DirectoryIsMoved_ClientsResume(t *testing.T) {
	t.Parallel()
	s := serve(t, "--sse.heartbeat=1s")
	p := newProducer(t, s)
	f := follow(t, "client", s.url("/events?user=42"), 0)
	f.awaitOpen(1)
	p.publish(1, 70)
	s.stop()
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(s.storeDir(), moved); err != nil {
		t.Fatal(err)
	}
	s.args = append(s.args, "--nats.embedded.dir="+moved)
	s.start()
	s.awaitReady()
	p.publish(71, 140)
	f.wantExactly(numbersOf(me, 140))
	p.checkStored(140)
}

// wantGaps compares the reasons of the announced gaps.
func (f *follower) wantGaps(reasons ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var got []string
	for _, gap := range f.gaps {
		got = append(got, gap.Reason)
	}
	if !slices.Equal(got, reasons) {
		f.t.Errorf("%s was sent gaps %q, want %q", f.name, got, reasons)
	}
}
