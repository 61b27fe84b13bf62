package doctor_test

import (
	"crypto/tls"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/testkit"
)

// The test connects to real servers with wrong settings.
func TestServers_CannotConnect_NamesKeys(t *testing.T) {
	plain := &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT}
	login := &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, Username: "alice", Password: "secret"}
	secure, ca := certificates(t)
	encrypted := &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, TLSConfig: secure, TLSTimeout: 5}
	first := &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, TLSConfig: secure, TLSTimeout: 5, TLSHandshakeFirst: true}
	mutual := &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, TLSConfig: secure.Clone(), TLSTimeout: 5, TLSVerify: true}
	mutual.TLSConfig.ClientAuth = tls.RequireAndVerifyClientCert
	nobody, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		server *natsserver.Options
		scheme string
		change func(*doctor.Options)
		parts  []string
	}{
		"unreachable":    {nil, "nats://", nil, []string{"refused", "nats.url"}},
		"no login":       {login, "nats://", nil, []string{"nats.credentials", "nats.user"}},
		"wrong login":    {login, "nats://", func(o *doctor.Options) { o.NATS.User, o.NATS.Password = "alice", "hunter2" }, []string{"nats.user"}},
		"authority":      {encrypted, "nats://", nil, []string{"nats.tls.ca"}},
		"other name":     {encrypted, "tls://localhost", func(o *doctor.Options) { o.NATS.CAFile = ca }, []string{"nats.url", "certificate"}},
		"no TLS":         {plain, "tls://", nil, []string{"nats.url", "no TLS"}},
		"starts plain":   {encrypted, "nats://", func(o *doctor.Options) { o.NATS.CAFile, o.NATS.TLSFirst = ca, true }, []string{"nats.tls.handshake_first"}},
		"starts TLS":     {first, "nats://", func(o *doctor.Options) { o.NATS.CAFile = ca }, []string{"nats.tls.handshake_first"}},
		"no certificate": {mutual, "nats://", func(o *doctor.Options) { o.NATS.CAFile = ca }, []string{"nats.tls.cert"}},
		"no file":        {plain, "nats://", func(o *doctor.Options) { o.NATS.CredsFile = "/nowhere/a.creds" }, []string{"/nowhere/a.creds", "readable"}},
	} {
		t.Run(name, func(t *testing.T) {
			addr := nobody
			if c.server != nil {
				addr = startServer(t, c.server.Clone())
			}
			scheme, host, found := strings.Cut(c.scheme, "localhost")
			if found {
				_, port, _ := strings.Cut(addr, ":")
				addr = "localhost" + host + ":" + port
			}
			opts := settings(t, scheme+addr)
			if c.change != nil {
				c.change(&opts)
			}
			report := doctor.Run(t.Context(), opts)
			want(t, report, doctor.Problem, "nats", c.parts...)
			if strings.Contains(lines(report, ""), "hunter2") {
				t.Error("the password is printed")
			}
		})
	}
}

// A node would use the other server without a message.
func TestServers_OneOfSeveral_IsNamed(t *testing.T) {
	nobody, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	report := doctor.Run(t.Context(), settings(t, "nats://bob:hunter2@"+nobody+","+startNATS(t)))
	want(t, report, doctor.Problem, "nats", nobody)
	want(t, report, doctor.OK, "permissions")
	if strings.Contains(lines(report, ""), "hunter2") {
		t.Error("the password is printed")
	}
}

func TestServers_SmallPayload_NamesPublishMaxBytes(t *testing.T) {
	addr := startServer(t, &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, MaxPayload: 1000, JetStream: true, StoreDir: t.TempDir()})
	opts := settings(t, "nats://"+addr)
	opts.Config.Publish.Enabled = config.On
	want(t, doctor.Run(t.Context(), opts), doctor.Warning, "nats", "publish.max_bytes", "1000")
}
