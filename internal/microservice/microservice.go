// Package microservice announces a node as a NATS micro service, which `nats micro ls` lists.
//
// No other part of a node depends on it. The service survives reconnects, and ends where the permissions of the
// node's user do not allow it.
package microservice

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	// Name is the name of the nodes' service.
	Name = "tidemark"
	// StatusSubject is the subject of requests for the status. Each node answers as /admin/status does.
	StatusSubject = "tidemark.status"
)

// Options describe a node. Status, Stats and Logger are required.
type Options struct {
	Node, Version string
	Addr          string // of the HTTP listener
	Feeds         []string
	// Status returns the answer to a request on StatusSubject, to be encoded as JSON.
	Status func(context.Context) any
	// Stats returns the data of `nats micro stats`.
	Stats  func() any
	Logger *slog.Logger
}

// Service is the micro service of one node. Make it with New.
type Service struct {
	denied chan error // holds one violation
}

// New returns a Service. Run announces it.
func New() *Service { return &Service{denied: make(chan error, 1)} }

// Denied reports whether a violation of permissions is about the service, and stops the service. It may be called
// at any time.
func (s *Service) Denied(err error) bool {
	text := err.Error()
	if !strings.Contains(text, `to "$SRV.`) && !strings.Contains(text, `to "`+StatusSubject+`"`) {
		return false
	}
	select {
	case s.denied <- err:
	default: // it is known
	}
	return true
}

// Run announces the node, and blocks until ctx ends. Where NATS does not permit it, the service is stopped for
// good: each reconnect would otherwise write several violations to the log of the NATS server.
func (s *Service) Run(ctx context.Context, nc *nats.Conn, opts Options) {
	service, err := announce(ctx, nc, opts)
	if err != nil {
		opts.Logger.Warn("micro: service not announced; the nats command does not list this node", "error", err)
		return
	}
	select {
	case <-ctx.Done():
	case err := <-s.denied:
		opts.Logger.Info("micro: service not permitted, so not announced; the nats command does not list this node", "error", err,
			"remedy", "permit the node's user to subscribe to $SRV.> and "+StatusSubject+", and to answer (allow_responses), or set node.micro to false")
	}
	_ = service.Stop() // fails only when the connection is closed
}

func announce(ctx context.Context, nc *nats.Conn, opts Options) (micro.Service, error) {
	service, err := micro.AddService(nc, micro.Config{
		Name: Name, Version: semVer(opts.Version), Description: "delivers JetStream streams as Server-Sent Events",
		Metadata: map[string]string{"node": opts.Node, "http": opts.Addr, "feeds": strings.Join(opts.Feeds, ",")},
		// Every node answers a request, rather than one of them at random.
		QueueGroupDisabled: true,
		StatsHandler:       func(*micro.Endpoint) any { return opts.Stats() },
	})
	if err != nil {
		return nil, err
	}
	answer := func(r micro.Request) {
		text, err := json.Marshal(opts.Status(context.WithoutCancel(ctx)))
		if err == nil {
			err = r.Respond(text)
		}
		if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			opts.Logger.Debug("micro: service status request not answered", "error", err)
		}
	}
	if err := service.AddEndpoint("status", micro.HandlerFunc(answer), micro.WithEndpointSubject(StatusSubject)); err != nil {
		_ = service.Stop() // without its endpoint it is of no use
		return nil, err
	}
	return service, nil
}

var versionParts = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)([-+][0-9A-Za-z.+-]*)?$`)

// semVer returns a build's version in the form of NATS micro. A commit becomes the build metadata of 0.0.0.
func semVer(version string) string {
	if versionParts.MatchString(version) {
		return strings.TrimPrefix(version, "v")
	}
	plain := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, version)
	if plain == "" {
		return "0.0.0"
	}
	return "0.0.0+" + plain
}
