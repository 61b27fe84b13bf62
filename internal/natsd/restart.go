package natsd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// healthInterval is the interval between checks of the store.
	healthInterval = time.Second
	// requiredSpace is the free space required for a restart of the server, in bytes: enough for several
	// of the largest messages.
	requiredSpace = 8 << 20
)

var errStopped = errors.New("it was stopped")

// Err returns the reason if messages cannot be stored, or nil.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.srv == nil:
		return fmt.Errorf("the embedded nats-server is restarting: %w", s.err)
	case !s.srv.JetStreamEnabled():
		return errors.New("the embedded nats-server has disabled JetStream; see its log for the reason")
	}
	if err := s.log.storeError(); err != nil {
		return fmt.Errorf("messages cannot be stored in %s; free disk space: %w", s.opts.Dir, err)
	}
	return nil
}

// restartLoop restarts the server when its store has failed and is writable again, until ctx ends.
func (s *Server) restartLoop(ctx context.Context) error {
	look := time.NewTicker(healthInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		err := s.Err()
		if err == nil || !hasSpace(s.opts.Dir) {
			continue
		}
		s.log.out.Warn("nats-server: store is writable again; restarting", "after", err)
		s.shutdown()
		s.restart(ctx)
	}
}

// shutdown stops the server if it is running.
func (s *Server) shutdown() {
	s.mu.Lock()
	srv := s.srv
	s.srv, s.err = nil, errStopped
	s.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// restart starts the server. If that fails, there is no server until the next attempt.
func (s *Server) restart(ctx context.Context) {
	log := newLogger(s.opts.Logger)
	var srv *server.Server
	so, err := s.current()
	if err == nil { // the file may have changed
		srv, err = run(ctx, so.Options, log)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err != nil {
		s.log.out.Error("nats-server: start failed; retrying", "error", err)
		return
	}
	s.srv, s.log = srv, log
}

// current resolves the current options.
func (s *Server) current() (*resolved, error) {
	s.mu.Lock()
	opts, login := s.opts, s.login
	s.mu.Unlock()
	return resolveAgain(opts, login)
}

// hasSpace reports whether requiredSpace bytes can be written to the disk of dir.
func hasSpace(dir string) bool {
	f, err := os.CreateTemp(dir, ".room-*")
	if err != nil {
		return false
	}
	defer os.Remove(filepath.Clean(f.Name()))
	defer f.Close()
	block := make([]byte, 1<<20)
	for range requiredSpace / len(block) {
		if _, err := f.Write(block); err != nil {
			return false
		}
	}
	return f.Sync() == nil
}
