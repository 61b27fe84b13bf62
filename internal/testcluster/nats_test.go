package testcluster

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/testkit"
)

// natsServer runs a server with a configuration file in this process.
func natsServer(t *testing.T, file string, env map[string]string) *server.Server {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	opts, err := server.ProcessConfigFile(filepath.Join(root(t), "config/nats", file))
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// A browser with a NATS connection over WebSocket receives the published messages. It may neither publish
// nor subscribe to other subjects.
func TestWebSocketPeer(t *testing.T) {
	ports, err := testkit.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	s := natsServer(t, "nats.conf", map[string]string{
		"NATS_NAME": "n1", "NATS_HOST": host, "NATS_PORT": fmt.Sprint(ports[0]), "NATS_MONITOR_PORT": fmt.Sprint(ports[1]),
		"NATS_CLUSTER_PORT": fmt.Sprint(ports[2]), "NATS_ROUTES": fmt.Sprintf(`["nats://%s"]`, local(ports[2])), "NATS_STORE": t.TempDir(),
	})
	peer := natsServer(t, "websocket.conf", map[string]string{"NATS_WEBSOCKET_PORT": fmt.Sprint(ports[3])})
	testkit.Eventually(t, time.Minute, "a route", func() bool { return s.NumRoutes() > 0 && peer.NumRoutes() > 0 })

	refused := make(chan error, 10)
	browser, err := nats.Connect("ws://"+local(ports[3]), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	sub, err := browser.SubscribeSync("notifications.user.42")
	if err != nil {
		t.Fatal(err)
	}
	producer, err := nats.Connect("nats://" + local(ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	testkit.Eventually(t, time.Minute, "an event", func() bool { // the interest takes a while to propagate
		if err := producer.Publish("notifications.user.42", []byte("hi")); err != nil {
			t.Fatal(err)
		}
		msg, err := sub.NextMsg(100 * time.Millisecond)
		return err == nil && string(msg.Data) == "hi"
	})
	if _, err := browser.SubscribeSync("$JS.>"); err != nil {
		t.Fatal(err)
	}
	<-refused
	if err := browser.Publish("notifications.broadcast", nil); err != nil {
		t.Fatal(err)
	}
	<-refused
}
