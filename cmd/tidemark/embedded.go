package main

import (
	"fmt"

	"github.com/tidemark/tidemark/internal/config"
)

// checkEmbedded reads the file of nats.embedded.config where the embedded server is used.
func checkEmbedded(cfg config.Config) error {
	if cfg.NATS.URL != "" {
		return nil
	}
	opts := embeddedOptions(cfg)
	opts.NodeLogin = cfg.NATS.HasLogin()
	return opts.Check()
}

// embeddedAddr is where this machine connects to the embedded server of a `tidemark serve` that runs.
func embeddedAddr(cfg config.Config) (string, error) {
	addr, err := embeddedOptions(cfg).ClientAddr()
	if err != nil {
		return "", fmt.Errorf("where the embedded server listens is not known; set nats.embedded.addr or nats.url: %w", err)
	}
	reached, err := reachable(addr)
	if err != nil {
		return "", fmt.Errorf("where the embedded server listens is not known; set nats.url to the address that serve printed, or nats.embedded.addr to one with a port: %s: %w", addr, err)
	}
	return reached, nil
}
