package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/streams"
)

// mountDisk mounts a file system of 64 MiB until the test ends. It needs root.
func mountDisk(t *testing.T, dir string) error {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		return fmt.Errorf("no file system can be mounted here, a full disk is not tried: %w", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return nil
}

// fillDisk fills the disk.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 { // to the last byte
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// smallStream returns a directory with the built-in stream, bounded to 32 MiB: the embedded server rejects a
// stream that its disk cannot hold.
func smallStream(t *testing.T) (dir string) {
	t.Helper()
	builtin, err := streams.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	cfg := builtin[0].Config
	cfg.MaxBytes = 32 << 20
	return streamDir(t, cfg)
}

func streamDir(t *testing.T, cfg jetstream.StreamConfig) (dir string) {
	t.Helper()
	dir = t.TempDir()
	def, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stream.json"), def, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestServe_DiskIsFull_RejectsPublishesAndRecovers: while the disk is full, no publish is acknowledged and stored events are delivered. Once there is
// room, publishing works without a restart.
func TestServe_DiskIsFull_RejectsPublishesAndRecovers(t *testing.T) {
	t.Parallel()
	const before = 210
	total := 420
	disk := t.TempDir()
	if err := mountDisk(t, disk); err != nil {
		t.Skip(err)
	}
	s := serve(t, "--nats.embedded.dir="+disk, "--streams.dir="+smallStream(t), "--sse.heartbeat=1s")
	t.Cleanup(s.kill) // before the disk is unmounted
	live := follow(t, "live", s.url("/events?user=42"), 0)
	live.awaitOpen(1)
	p := newProducer(t, s)
	p.publish(1, before)

	free := fillDisk(t, disk)
	var publishing sync.WaitGroup
	publishing.Go(func() { p.publish(before+1, total) })
	eventually(t, "the full disk is noticed", func() bool { return s.storeReports(http.StatusOK, "degraded") })
	last := int(p.stored.Load()) // the last block of the disk had some room
	if last >= total {
		t.Fatalf("%d events were acknowledged on a full disk", last)
	}
	follow(t, "reads while nothing is stored", s.url("/events?user=42&from=all"), 0).wantExactly(numbersOf(me, last))
	s.wantPublishRefused()
	s.wantWritable(0)
	free()
	publishing.Wait()
	eventually(t, "a publisher over HTTP is served again", func() bool { status, _ := s.post("notifications.user.44"); return status == http.StatusOK })
	total++
	s.wantWritable(1)
	live.wantExactly(numbersOf(me, 420))
	p.checkStored(total)
	eventually(t, "all is well", func() bool { return s.storeReports(http.StatusOK, "ok") })
}

// storeReports compares the store in /readyz.
func (s *service) storeReports(status int, want string) bool {
	s.t.Helper()
	resp, err := direct.Get(s.url("/readyz"))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var h health.Report
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil || json.Unmarshal(body.Bytes(), &h) != nil {
		s.t.Errorf("/readyz reports %q", body.Bytes())
	}
	if h.Status == "degraded" {
		s.t.Logf("/readyz: %s", h.Checks["store"])
	}
	return resp.StatusCode == status && h.Status == want
}

// post publishes an event over HTTP.
func (s *service) post(subject string) (status int, answer string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"subject":%q,"data":"x","id":"over-http"}`, subject)
	resp, err := direct.Post(s.url("/publish"), "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// wantPublishRefused: the response to a publish over HTTP reports that the event is not, or may not be, stored.
func (s *service) wantPublishRefused() {
	s.t.Helper()
	status, answer := s.post("notifications.user.44")
	s.t.Logf("POST /publish: %d %s", status, answer)
	if status != http.StatusServiceUnavailable && status != http.StatusInsufficientStorage || !strings.Contains(answer, `"outcome"`) {
		s.t.Errorf("POST /publish is answered %d %s", status, answer)
	}
}

// wantWritable compares the metric of the embedded store.
func (s *service) wantWritable(want int) {
	s.t.Helper()
	line := fmt.Sprintf("\ntidemark_store_writable %d\n", want)
	eventually(s.t, "the metric"+line, func() bool {
		resp, err := direct.Get(s.url("/metrics"))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(raw), line)
	})
}
