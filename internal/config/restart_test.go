package config

import (
	"slices"
	"testing"
	"time"
)

func TestNeedRestart_ChangedKeys_NamesThoseThatAreReadAtTheStart(t *testing.T) {
	running := Default()
	if names := NeedRestart(running, Default()); names != nil {
		t.Errorf("without a change: %q", names)
	}
	later := Default()
	later.Log.Level = "debug"
	later.NATS.Embedded.Users = []EmbeddedUser{{Name: "orders"}}
	if names := NeedRestart(running, later); names != nil {
		t.Errorf("keys that SIGHUP reads: %q", names)
	}
	later.HTTP.Addr = "127.0.0.1:9999"
	later.SSE.Heartbeat = time.Minute
	later.Limits.PerUser = 7
	later.Auth.Identity = []string{"anonymous"}
	feed := later.Feeds["notifications"]
	feed.Paths = []string{"/other"}
	later.Feeds = map[string]Feed{"notifications": feed}
	want := []string{"http.addr", "auth.identity", "feeds", "sse.heartbeat", "limits.connections_per_user"}
	if names := NeedRestart(running, later); !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}
