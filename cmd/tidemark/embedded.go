package main

import (
	"fmt"

	"github.com/tidemark/tidemark/internal/config"
)

// checkEmbedded checks the file of nats.embedded.config if the node uses the embedded server.
func checkEmbedded(cfg config.Config) error {
	if cfg.NATS.URL != "" {
		return nil
	}
	opts := embeddedOptions(cfg)
	opts.NodeLogin = cfg.NATS.HasLogin()
	return opts.Check()
}

// embeddedAddr returns the address of the embedded server of a running `tidemark serve` on this machine.
func embeddedAddr(cfg config.Config) (string, error) {
	addr, err := embeddedOptions(cfg).ClientAddr()
	if err != nil {
		return "", fmt.Errorf("the address of the embedded server is unknown; set nats.embedded.addr or nats.url: %w", err)
	}
	reached, err := reachable(addr)
	if err != nil {
		return "", fmt.Errorf("the address of the embedded server is unknown; set nats.url to the address that serve printed, or nats.embedded.addr to one with a port: %s: %w", addr, err)
	}
	return reached, nil
}
