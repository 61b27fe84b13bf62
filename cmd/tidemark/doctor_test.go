package main

import (
	"testing"

	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/natsd"
)

func TestDescribeEmbedded_NoAddress_IsTheDefault(t *testing.T) {
	for addr, want := range map[string]string{
		"":               "nats://" + natsd.DefaultAddr,
		":4333":          "nats://127.0.0.1:4333",
		"127.0.0.1:4333": "nats://127.0.0.1:4333",
		"127.0.0.1:0":    "",
	} {
		cfg := config.Default()
		cfg.NATS.Embedded.Addr = addr
		got := describeEmbedded(cfg, pflag.NewFlagSet("doctor", pflag.ContinueOnError))
		if got.URL != want || (got.Err == nil) != (want != "") {
			t.Errorf("with the address %q it is %q, %v; want %q", addr, got.URL, got.Err, want)
		}
	}
}
