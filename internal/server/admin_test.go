package server_test

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// TestAdminAddr_Taken_FailsUnlessOptional checks that a node does not start without its configured admin listener,
// and starts if the listener is optional.
func TestAdminAddr_Taken_FailsUnlessOptional(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()

	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	opts := options(t, url)
	opts.Admin.Addr = addr
	if _, err := server.New(t.Context(), opts); err == nil || !strings.HasPrefix(err.Error(), "admin.addr: cannot listen on "+addr) {
		t.Errorf("it was named: %v", err)
	}

	log := &testkit.Log{}
	level, err := logging.ParseLevel("warn")
	if err != nil {
		t.Fatal(err)
	}
	r := newHarness(t, func(o *server.Options) {
		o.Admin = server.AdminOptions{Addr: addr, Optional: true}
		if o.Logger, err = logging.New(log, level, "json"); err != nil {
			t.Fatal(err)
		}
	})
	if r.srv.AdminAddr() != nil {
		t.Errorf("the admin listener is at %v", r.srv.AdminAddr())
	}
	if !strings.Contains(log.String(), "set admin.addr to a free address") || !strings.Contains(log.String(), addr) {
		t.Errorf("the log: %s", log.String())
	}
	if got := r.status("/metrics"); got != http.StatusOK {
		t.Errorf("/metrics at the main listener: %d", got)
	}
	if got := r.status("/admin/status"); got != http.StatusNotFound {
		t.Errorf("/admin at the main listener: %d", got)
	}
}

// An admin listener cannot take the port of a main listener on all interfaces, which would cut off this machine's
// clients.
func TestAdminAddr_PortOfClients_IsRefused(t *testing.T) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := port.Addr().String()
	_ = port.Close()
	_, number, _ := net.SplitHostPort(addr)
	r := newHarness(t, func(o *server.Options) {
		o.HTTP.Addr = ":" + number
		o.Admin = server.AdminOptions{Addr: addr, Optional: true}
	})
	if r.srv.AdminAddr() != nil {
		t.Errorf("the admin listener is at %v, the main listener at %v", r.srv.AdminAddr(), r.srv.Addr())
	}
}

func TestBanner_AdminAddr_IsNamed(t *testing.T) {
	for want, change := range map[bool]func(*server.Options){
		true: withAdmin, false: nil,
	} {
		r := newHarness(t, change)
		var out bytes.Buffer
		if err := r.srv.WriteBanner(&out); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "tidemark status http://127.0.0.1:"); got != want {
			t.Errorf("the banner has: %v\n%s", got, out.String())
		}
	}
}

// TestAdmin_NoKeys_OtherMachinesAreRefused checks that other machines need a key for the admin API, also where no
// keys are configured. Metrics and health need no login.
func TestAdmin_NoKeys_OtherMachinesAreRefused(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { withAdmin(o); o.Admin.Addr = ":0" })
	_, port, _ := net.SplitHostPort(r.srv.AdminAddr().String())
	for _, path := range []string{"/admin/status", "/admin/connections", "/admin/feeds", "/admin/drain", "/admin/log/level", "/debug/pprof/"} {
		resp, body := r.request("GET", "http://127.0.0.1:"+port+path, "", "Host", "node.example", "Authorization", "Bearer tmk_nothing")
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := r.request("GET", "http://127.0.0.1:"+port+"/metrics", "", "Host", "node.example"); resp.StatusCode != http.StatusOK {
		t.Errorf("/metrics: %d", resp.StatusCode)
	}
}
