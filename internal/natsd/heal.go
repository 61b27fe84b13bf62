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
	// healPause is between looks at the store.
	healthInterval = time.Second
	// healRoom is what must fit into the store before the server is started anew, in bytes:
	// several of the largest messages.
	requiredSpace = 8 << 20
)

var errStopped = errors.New("it has ended")

// Err says why messages cannot be stored; nil while they can be.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.srv == nil:
		return fmt.Errorf("the embedded nats-server is being started anew: %w", s.err)
	case !s.srv.JetStreamEnabled():
		return errors.New("the embedded nats-server has switched JetStream off; its log says why")
	}
	if err := s.log.storeError(); err != nil {
		return fmt.Errorf("nothing can be stored in %s until there is room: %w", s.opts.Dir, err)
	}
	return nil
}

// heal starts the server anew when its store failed and can be written again, until ctx ends.
func (s *Server) restartLoop(ctx context.Context) {
	look := time.NewTicker(healthInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		err := s.Err()
		if err == nil || !hasSpace(s.opts.Dir) {
			continue
		}
		s.log.out.Warn("the embedded nats-server is started anew, as its store can be written again", "after", err)
		s.shutdown()
		s.restart(ctx)
	}
}

// end stops the server if there is one.
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

// startAnew leaves no server where that fails, so that it is tried again.
func (s *Server) restart(ctx context.Context) {
	log := newLogger(s.opts.Logger)
	var srv *server.Server
	so, err := s.current()
	if err == nil { // the file was right before, but may have changed
		srv, err = run(ctx, so.Options, log)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err != nil {
		s.log.out.Error("the embedded nats-server does not start; it is tried again", "error", err)
		return
	}
	s.srv, s.log = srv, log
}

// current resolves the options as they are now.
func (s *Server) current() (*resolved, error) {
	s.mu.Lock()
	opts, login := s.opts, s.login
	s.mu.Unlock()
	return resolveAgain(opts, login)
}

// hasRoom tries whether healRoom bytes can be written to the disk of dir.
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
