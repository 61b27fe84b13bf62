package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testkit"
)

// service is `tidemark serve`. Its ports and its directory stay the same over restarts.
type service struct {
	*process
	t                  *testing.T
	httpAddr, natsAddr string
	scheme             string
	args               []string
	log                *os.File
	dir                string
	binary             string // the command; empty for that of the checkout
}

// serve starts a service with further flags, and waits until it is ready.
func serve(t *testing.T, flags ...string) *service {
	t.Helper()
	return serveAt(t, freeAddr(t), append([]string{"--dev"}, flags...)...)
}

func serveAt(t *testing.T, httpAddr string, flags ...string) *service {
	t.Helper()
	dir := t.TempDir()
	s := &service{
		t: t, httpAddr: httpAddr, natsAddr: freeAddr(t), scheme: "http", dir: dir,
		log: output(t, filepath.Join(dir, "serve.log")),
	}
	if slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, "--http.tls.") }) {
		s.scheme = "https"
	}
	s.args = append([]string{"serve", "--http.addr", s.httpAddr, "--sse.retry=100ms"}, flags...)
	s.start()
	s.awaitReady()
	return s
}

// start starts the process and does not wait until it is ready.
func (s *service) start() {
	s.t.Helper()
	if s.binary == "" {
		s.binary = command(s.t)
	}
	cmd := exec.Command(s.binary, s.args...)
	cmd.Dir = s.dir
	cmd.Env = []string{
		"TIDEMARK_NATS_EMBEDDED_ADDR=" + s.natsAddr, "TIDEMARK_NATS_EMBEDDED_DIR=" + filepath.Join(s.dir, "nats"),
		"TIDEMARK_ADMIN_ADDR=off", // many services run at the same time; flags override it
		"TIDEMARK_HTTP_DRAIN_DELAY=0s",
	}
	s.process = start(s.t, cmd, s.log, s.log)
}

func (s *service) url(path string) string { return s.scheme + "://" + s.httpAddr + path }

func (s *service) awaitReady() {
	s.t.Helper()
	eventually(s.t, "a service that is ready", func() bool {
		if s.ended() {
			s.t.Fatal("the service has ended")
		}
		return status(s.url("/readyz")) == http.StatusOK
	})
}

func status(url string) int {
	resp, err := direct.Get(url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// freeAddr returns an address without a listener, which stays reserved for the test.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
