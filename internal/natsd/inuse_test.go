package natsd_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/natsd"
)

func TestInUse_ServerRunsAndStops_IsReportedWithoutAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	want := func(want bool) {
		t.Helper()
		if used, err := natsd.InUse(dir); err != nil || used != want {
			t.Errorf("%v, %v; want %v", used, err, want)
		}
	}
	want(false)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("looking created %s: %v", dir, err)
	}
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: dir, SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	want(true)
	srv.Stop()
	want(false)
}
