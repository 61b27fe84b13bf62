package natsd_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testkit/leaks"
)

func TestMain(m *testing.M) { leaks.VerifyTestMain(m) }

func start(t *testing.T, opts natsd.Options) *natsd.Server {
	t.Helper()
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	srv, err := natsd.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	return srv
}

func connect(t *testing.T, url string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestRestartKeepsWhatWasAcknowledged(t *testing.T) {
	for name, sync := range map[string]time.Duration{"always": 0, "interval": time.Minute} {
		t.Run(name, func(t *testing.T) {
			opts := natsd.Options{Dir: t.TempDir(), SyncInterval: sync}
			first := start(t, opts)
			js := connect(t, first.ClientURL())
			cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}
			if _, err := js.CreateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			if _, err := js.Publish(t.Context(), "s.1", []byte("kept")); err != nil {
				t.Fatal(err)
			}
			first.Stop()

			second := start(t, opts)
			expectStored(t, connect(t, "", second.InProcess()), "kept")
		})
	}
}

func expectStored(t *testing.T, js jetstream.JetStream, want string) {
	t.Helper()
	s, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(msg.Data) != want {
		t.Errorf("message 1 is %q, want %q", msg.Data, want)
	}
}

func TestStopTwice(t *testing.T) {
	srv := start(t, natsd.Options{Dir: t.TempDir()})
	srv.Stop()
	srv.Stop()
}

func TestStartErrorsSayWhatToChange(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// An error of the server itself: the path of its store is a file.
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	start(t, natsd.Options{Dir: used})

	for name, tt := range map[string]struct {
		opts natsd.Options
		want []string
	}{
		"port taken":       {natsd.Options{Dir: t.TempDir(), Addr: taken.Addr().String()}, []string{"nats.embedded.addr", taken.Addr().String(), "in use", "nats.url"}},
		"no such host":     {natsd.Options{Dir: t.TempDir(), Addr: "192.0.2.1:4222"}, []string{"nats.embedded.addr", "192.0.2.1:4222"}},
		"no port":          {natsd.Options{Dir: t.TempDir(), Addr: "localhost"}, []string{"nats.embedded.addr", "localhost", "host:port"}},
		"port too large":   {natsd.Options{Dir: t.TempDir(), Addr: ":65536"}, []string{"nats.embedded.addr", "65536"}},
		"no directory":     {natsd.Options{}, []string{"nats.embedded.dir"}},
		"directory a file": {natsd.Options{Dir: filepath.Join(file, "sub")}, []string{"nats.embedded.dir", file}},
		"directory in use": {natsd.Options{Dir: used, Addr: "127.0.0.1:0"}, []string{"nats.embedded.dir", used, "another process"}},
		"store broken":     {natsd.Options{Dir: broken, Addr: "127.0.0.1:0"}, []string{"JetStream", broken}},
		"negative sync":    {natsd.Options{Dir: t.TempDir(), SyncInterval: -1}, []string{"nats.embedded.sync"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := natsd.Start(t.Context(), tt.opts)
			if err == nil {
				srv.Stop()
				t.Fatal("it started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not mention %q: %v", want, err)
				}
			}
		})
	}
}

func TestFailedStartFreesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := natsd.Start(t.Context(), natsd.Options{Dir: dir, Addr: "192.0.2.1:4222"}); err == nil {
		t.Fatal("it started on an address of nobody")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := natsd.Start(ctx, natsd.Options{Dir: dir, Addr: "127.0.0.1:0"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("started with a cancelled context: %v", err)
	}
	start(t, natsd.Options{Dir: dir})
}

func TestMoreThanAThousandConsumersByDefault(t *testing.T) {
	js := connect(t, "", start(t, natsd.Options{Dir: t.TempDir()}).InProcess())
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1001 {
		cfg := jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true}
		if _, err := s.CreateConsumer(t.Context(), cfg); err != nil {
			t.Fatalf("consumer %d: %v", i+1, err)
		}
	}
}

func TestMessagesGoToTheLogger(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	start(t, natsd.Options{Dir: t.TempDir(), Logger: log, ServerName: "harbour"}).Stop()
	if !strings.Contains(out.String(), "harbour") {
		t.Errorf("the server's name is not in its log:\n%s", out.String())
	}
}

// For a server on all interfaces, the URL contains 127.0.0.1.
func TestClientURL_AllInterfaces_IsLoopback(t *testing.T) {
	for addr, want := range map[string]string{"0.0.0.0:0": "nats://127.0.0.1:", "[::]:0": "nats://127.0.0.1:", "127.0.0.1:0": "nats://127.0.0.1:", "localhost:0": "nats://127.0.0.1:"} {
		srv := start(t, natsd.Options{Dir: t.TempDir(), Addr: addr})
		if !strings.HasPrefix(srv.ClientURL(), want) {
			t.Errorf("%s: %s", addr, srv.ClientURL())
		}
		connect(t, srv.ClientURL())
		srv.Stop()
	}
}
