package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// ServerCmd runs the server under test, so that a soak can kill it. A nil ServerCmd does nothing.
type ServerCmd struct {
	// Command is split at spaces, without a shell.
	Command string

	mu    sync.Mutex
	cmd   *exec.Cmd
	out   tailBuffer
	ended chan error
}

// startTimeout bounds the wait until a started server accepts connections.
const startTimeout = 30 * time.Second

// Start runs the command and blocks until the host of feedURL accepts connections. It is an error if the host
// accepts them before: the run would measure, and not kill, another server.
func (s *ServerCmd) Start(ctx context.Context, feedURL string) error {
	words := strings.Fields(s.Command)
	if len(words) == 0 {
		return serverCmdError(errors.New("the command is empty"))
	}
	u, err := url.Parse(strings.ReplaceAll(feedURL, "{user}", "USER"))
	if err != nil {
		return serverCmdError(err)
	}
	if acceptsConnections(u.Host) {
		return serverCmdError(fmt.Errorf("another server is already at %s; end it, or set another address with --url and --publish", u.Host))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = exec.Command(words[0], words[1:]...) // not of ctx: Stop kills it
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		return serverCmdError(err)
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(s.cmd, s.ended)
	return s.waitUntilUp(ctx, u.Host)
}

func (s *ServerCmd) waitUntilUp(ctx context.Context, host string) error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline) && ctx.Err() == nil; {
		if acceptsConnections(host) {
			return nil
		}
		select {
		case err := <-s.ended:
			s.ended <- err
			return serverCmdError(fmt.Errorf("it ended (%w): %s", err, s.out.String()))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return serverCmdError(errors.Join(fmt.Errorf("%s accepted no connection for %s", host, startTimeout), ctx.Err()))
}

func acceptsConnections(host string) bool {
	c, err := net.DialTimeout("tcp", host, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close() // nothing was sent
	return true
}

// Stop kills the server and waits for its end.
func (s *ServerCmd) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // fails when it has ended already
		<-s.ended                //nolint:errcheck // it was killed
		s.cmd = nil
	}
}

// killRepeatedly kills and starts the server until ctx ends, and leaves it running. It returns the number of kills.
func (s *ServerCmd) killRepeatedly(ctx context.Context, every time.Duration, feedURL string) (kills int, err error) {
	if s == nil || every <= 0 {
		return 0, nil
	}
	for {
		select {
		case <-ctx.Done():
			return kills, nil
		case <-time.After(every):
		}
		s.Stop()
		kills++
		if err := s.Start(context.WithoutCancel(ctx), feedURL); err != nil {
			return kills, err
		}
	}
}

func serverCmdError(err error) error { return fmt.Errorf("the server of --server-cmd: %w", err) }
