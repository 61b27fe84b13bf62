package doctor_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/testkit"
)

// startCluster runs three NATS servers, and returns functions to stop them.
func startCluster(t *testing.T) (urls []string, stops []func()) {
	t.Helper()
	ports, err := testkit.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	for i, port := range ports {
		srv, err := natsserver.NewServer(&natsserver.Options{
			Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, ServerName: fmt.Sprint("n", i), NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(),
			Cluster: natsserver.ClusterOpts{Name: "events", Host: "127.0.0.1", Port: port}, Routes: natsserver.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		stop := sync.OnceFunc(func() { srv.Shutdown(); srv.WaitForShutdown() })
		t.Cleanup(stop)
		if !srv.ReadyForConnections(waitTimeout) {
			t.Fatal("the NATS server is not ready")
		}
		urls, stops = append(urls, srv.ClientURL()), append(stops, stop)
	}
	return urls, stops
}

// One replica in a cluster of three servers, and then three replicas after the loss of a server.
func TestCluster_Replicas_AreCompared(t *testing.T) {
	urls, stops := startCluster(t)
	_, js := jetStream(t, strings.Join(urls[:2], ","))
	attempt := func(what string, try func(ctx context.Context) error) {
		t.Helper()
		testkit.Eventually(t, waitTimeout, what, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a cluster without a leader does not respond
			defer cancel()
			return try(ctx) == nil
		})
	}
	cfg := builtin(t)
	attempt("the cluster takes a stream", func(ctx context.Context) error {
		_, err := js.CreateStream(ctx, cfg)
		return err
	})
	report := doctor.Run(t.Context(), settings(t, urls[0]))
	want(t, report, doctor.OK, "nats", "cluster events")
	want(t, report, doctor.Warning, "stream NOTIFICATIONS", "one replica", "streams.replicas: 3")

	// A separate stream, because nats-server leaves goroutines behind if a stream is scaled up and then
	// shut down.
	cfg.Name, cfg.Subjects, cfg.Replicas = "REPLICATED", []string{"replicated.>"}, 3
	attempt("the cluster takes a stream with three replicas", func(ctx context.Context) error {
		_, err := js.CreateStream(ctx, cfg)
		return err
	})
	opts := settings(t, urls[0])
	opts.Streams = []jetstream.StreamConfig{cfg}
	opts.Config.Feeds = map[string]config.Feed{"replicated": {Paths: []string{"/events"}, Stream: cfg.Name, Subjects: cfg.Subjects}}
	has := func(status doctor.Status, part string) func() bool {
		return func() bool {
			return strings.Contains(lines(doctor.Run(t.Context(), opts), "stream REPLICATED"), string(status)+" stream REPLICATED: "+part)
		}
	}
	testkit.Eventually(t, waitTimeout, "all replicas are current", has(doctor.OK, "events: 0"))
	stops[2]()
	testkit.Eventually(t, waitTimeout, "the lost replica is named", has(doctor.Problem, "the replica at n2 is offline"))
}

// Three replicas with a single server.
func TestCluster_None_ReplicasCannotBe(t *testing.T) {
	opts := settings(t, startNATS(t))
	opts.Streams = []jetstream.StreamConfig{builtin(t)}
	opts.Streams[0].Replicas = 3
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "stream NOTIFICATIONS", "3 replicas", "streams.replicas: 1")
}
