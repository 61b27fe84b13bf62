package natsd

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options say how the server runs. The zero value works, but for Dir.
type Options struct {
	// Addr is where NATS clients connect, as host:port; 127.0.0.1:4222 when empty. Port 0
	// picks a free one, which ClientURL tells. There is no authentication: an address that
	// other machines reach lets all of them read and publish everything.
	Addr string
	// Dir holds the streams. It is created when missing, and must not be on a file system
	// that loses writes which it has synced.
	Dir string
	// SyncInterval is how long an acknowledged message may wait until it is synced to the
	// disk; a loss of power loses what waits, a killed process loses nothing. Zero syncs
	// each message before it is acknowledged, which costs about two thirds of the
	// publishing rate (measured: 6.9k/s instead of 19k/s from one synchronous publisher).
	SyncInterval time.Duration
	// ServerName shows in monitoring and logs; "tidemark" when empty.
	ServerName string
	// MaxPayload bounds a message, its headers included, in bytes; 1 MiB when zero.
	MaxPayload int32
	// Logger gets the server's messages: its notices at Debug, as they tell of every step
	// of a start, warnings and errors as such. Discarded when nil.
	Logger *slog.Logger
}

func (o Options) resolve() (*server.Options, error) {
	if o.Dir == "" {
		return nil, fmt.Errorf("nats.embedded.dir: the embedded server needs a store directory")
	}
	if o.SyncInterval < 0 {
		return nil, fmt.Errorf("nats.embedded.sync: the interval %s is negative", o.SyncInterval)
	}
	host, port, err := splitAddr(o.Addr)
	if err != nil {
		return nil, err
	}
	so := &server.Options{
		Host: host, Port: port, ServerName: o.ServerName, MaxPayload: o.MaxPayload,
		JetStream: true, StoreDir: o.Dir, SyncAlways: o.SyncInterval == 0, SyncInterval: o.SyncInterval,
		NoSigs: true, DisableJetStreamBanner: true,
	}
	if so.ServerName == "" {
		so.ServerName = "tidemark"
	}
	// Servers since 2.15 refuse a stream's 1001st consumer unless told otherwise. How many
	// there are at once is limited where they are made.
	so.JetStreamLimits.DefaultMaxConsumers = -1
	return so, nil
}

func splitAddr(addr string) (host string, port int, err error) {
	if addr == "" {
		return "127.0.0.1", server.DEFAULT_PORT, nil
	}
	host, p, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil || port < -1 || port > 65535 {
		return "", 0, fmt.Errorf("nats.embedded.addr: %q is not host:port with a port from 0 to 65535", addr)
	}
	if port <= 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

func hostPort(so *server.Options) string {
	return net.JoinHostPort(so.Host, strconv.Itoa(max(so.Port, 0)))
}
