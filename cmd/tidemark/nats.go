package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/config"
	"github.com/tidemark/tidemark/pkg/jetlog"
)

// natsTimeout bounds what a command waits for NATS, to connect and then to answer.
const natsTimeout = 5 * time.Second

// connect reaches the NATS server of the configuration: nats.url, or the embedded one of a
// `tidemark serve` that runs.
func connect(ctx context.Context, cfg config.Config) (*nats.Conn, error) {
	opts := natsOptions(cfg)
	opts.URL = cmp.Or(opts.URL, "nats://"+cfg.NATS.Embedded.Addr)
	opts.Wait = true
	ctx, cancel := context.WithTimeout(ctx, natsTimeout)
	defer cancel()
	nc, err := jetlog.Connect(ctx, opts)
	if err != nil && cfg.NATS.URL == "" {
		return nil, fmt.Errorf("%w; is `tidemark serve` running? (nats.embedded.addr is %s; --nats.url names another server)", err, cfg.NATS.Embedded.Addr)
	}
	return nc, err
}
