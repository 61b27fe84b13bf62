package jsapi

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsconn"
)

func TestRequest_WithoutConnection_ErrorNamesTheConnection(t *testing.T) {
	nc, err := nats.Connect("nats://127.0.0.1:1", nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	client := Client{Conn: nc, Prefix: "$JS.API.", Timeout: 5 * time.Second, Watcher: natsconn.Watch(nc)}
	err = client.Request(t.Context(), "STREAM.INFO.A", nil, &StreamInfo{})
	if err == nil || !natsconn.NotConnected(err) || Permanent(err) || Unclear(err) || !strings.Contains(err.Error(), "STREAM.INFO.A: there is no connection to NATS") {
		t.Errorf("error %v; want one of natsconn.NotConnected that names the connection", err)
	}
}
