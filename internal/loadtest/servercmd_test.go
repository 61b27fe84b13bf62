package loadtest

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestSoak_NoKillPossible_IsAnError(t *testing.T) {
	server := &ServerCmd{Command: "does-not-exist"}
	for want, opts := range map[string]SoakOptions{
		"--for 10s is not longer than --kill-every 10s; no kill would happen": {Options: Options{For: 10 * time.Second}, Server: server, KillEvery: 10 * time.Second},
		"--for 1s is not longer than --kill-every 1m0s":                       {Options: Options{For: time.Second}, Server: server, KillEvery: time.Minute},
		"--server-cmd is missing":                                             {Options: Options{For: time.Minute}, KillEvery: time.Second},
		"--kill-every -1s":                                                    {Options: Options{For: time.Minute}, Server: server, KillEvery: -time.Second},
	} {
		if _, err := Soak(t.Context(), opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// The command does not exist: an error that names the other server shows that it was not started.
func TestServerCmd_AddressInUse_IsNotStarted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &ServerCmd{Command: "does-not-exist"}
	err = s.Start(t.Context(), "http://"+l.Addr().String()+"/events?user={user}")
	if err == nil || !strings.Contains(err.Error(), "another server is already at "+l.Addr().String()) {
		t.Errorf("%v", err)
	}
}
