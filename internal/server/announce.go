package server

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	// ServiceName is how nodes are called in `nats micro ls`.
	ServiceName = "tidemark"
	// StatusSubject is where each node answers with what /admin/status says.
	StatusSubject = "tidemark.status"
)

// announcement is the node's NATS micro service. It keeps itself up over reconnects, as its
// subscriptions do.
type announcement struct {
	service micro.Service
	denied  chan error // of at most one violation
	end     chan struct{}
	ended   chan struct{}
}

// announce tells NATS of this node. Nothing depends on it.
func (s *Server) announce(context.Context) error {
	if !s.opts.Node.Micro {
		return nil
	}
	var feeds []string
	for _, f := range s.opts.Feeds {
		feeds = append(feeds, f.Name)
	}
	service, err := micro.AddService(s.nats, micro.Config{
		Name: ServiceName, Version: semVer(s.opts.Node.Version), Description: "delivers JetStream streams as Server-Sent Events",
		Metadata: map[string]string{"node": s.opts.Node.Name, "http": s.Addr().String(), "feeds": strings.Join(feeds, ",")},
		// Every node answers: which one is asked is not a matter of chance.
		QueueGroupDisabled: true,
		StatsHandler:       func(*micro.Endpoint) any { return s.load() },
	})
	if err == nil {
		if err = service.AddEndpoint("status", micro.HandlerFunc(s.tellStatus), micro.WithEndpointSubject(StatusSubject)); err != nil {
			_ = service.Stop() // what it could not begin
		}
	}
	if err != nil {
		s.opts.Logger.Warn("this node is not announced as a NATS micro service", "error", err)
		return nil
	}
	s.announced.service = service
	go s.keepAnnounced()
	s.onClose(func() { close(s.announced.end); <-s.announced.ended })
	return nil
}

// keepAnnounced owns the service, and stops it for good where NATS does not permit it: else
// each reconnect would be a list of violations in the logs of the server.
func (s *Server) keepAnnounced() {
	a := &s.announced
	defer close(a.ended)
	select {
	case <-a.end:
	case err := <-a.denied:
		s.opts.Logger.Info("this node is not announced as a NATS micro service: permit its user to subscribe to $SRV.> and "+StatusSubject+", and to answer (allow_responses), or set node.micro to false", "error", err)
	}
	_ = a.service.Stop() // fails only when the connection is closed
}

// microDenied takes violations of announcing for itself.
func (s *Server) microDenied(err error) bool {
	text := err.Error()
	if !strings.Contains(text, `to "$SRV.`) && !strings.Contains(text, `to "`+StatusSubject+`"`) {
		return false
	}
	select {
	case s.announced.denied <- err:
	default: // it is known
	}
	return true
}

// load is what `nats micro stats` shows of a node besides.
func (s *Server) load() any {
	streams, replays := s.admit.Counts()
	return map[string]int{"connections": streams, "replays": replays}
}

func (s *Server) tellStatus(r micro.Request) {
	text, err := json.Marshal(s.fullHealth(context.Background()))
	if err == nil {
		err = r.Respond(text)
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		s.opts.Logger.Debug("a request for the status was not answered", "error", err)
	}
}

var versionParts = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)([-+][0-9A-Za-z.+-]*)?$`)

// semVer is a build's version as NATS micro wants it: a commit is told behind 0.0.0.
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
