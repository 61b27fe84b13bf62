package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
	definitions "github.com/tidemark/tidemark/streams"
)

// region is a NATS server with a JetStream domain of its own and a node on it.
type region struct {
	*harness
	nats *natsserver.Server
	opts *natsserver.Options
}

func startRegion(t *testing.T, domain string, change func(*natsserver.Options)) *region {
	t.Helper()
	opts := &natsserver.Options{
		ServerName: domain, Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, JetStreamDomain: domain, StoreDir: t.TempDir(),
	}
	change(opts)
	return &region{nats: runNATS(t, opts), opts: opts}
}

func runNATS(t *testing.T, opts *natsserver.Options) *natsserver.Server {
	t.Helper()
	srv, err := natsserver.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return srv
}

// regions starts a hub with a stream and a leaf with its mirror, as docs/design/positions.md describes. The nodes
// create the streams, from their definitions.
func regions(t *testing.T, mirror string, change func(*server.Options)) (hub, leaf *region) {
	t.Helper()
	hub = startRegion(t, "hub", func(o *natsserver.Options) {
		o.LeafNode.Host, o.LeafNode.Port = "127.0.0.1", natsserver.RANDOM_PORT
	})
	leaf = startRegion(t, "leaf", func(o *natsserver.Options) {
		remote := &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", hub.opts.LeafNode.Port)}
		o.LeafNode.Remotes = []*natsserver.RemoteLeafOpts{{URLs: []*url.URL{remote}}}
		o.LeafNode.ReconnectInterval = 100 * time.Millisecond
	})
	hub.node(t, `{"name":"NOTIFICATIONS","subjects":["notifications.>"],"metadata":{"tidemark.epoch":"world-1"}}`, change)
	leaf.node(t, mirror, change)
	return hub, leaf
}

const mirrorDefinition = `{
  "name": "NOTIFICATIONS",
  "mirror": {"name": "NOTIFICATIONS", "external": {"api": "$JS.hub.API"}},
  "metadata": {"tidemark.epoch": "world-1"},
  "max_consumers": 100000, "max_bytes": 1073741824, "max_age": 604800000000000,
  "deny_delete": true, "deny_purge": true
}`

func (r *region) node(t *testing.T, definition string, change func(*server.Options)) {
	t.Helper()
	def, err := definitions.Parse("test", []byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	opts := options(t, r.nats.ClientURL())
	opts.Streams[0] = def.Config
	opts.ApplyStreams = true
	if change != nil {
		change(&opts)
	}
	r.harness = startNode(t, opts)
	r.connect(r.nats.ClientURL())
	r.awaitReady()
}

// A client moves between the regions again and again during publishes, and receives every event once and in order.
func TestMirror_ClientMoves_Resumes(t *testing.T) {
	if testing.Short() {
		t.Skip("slow; skipped with -short")
	}
	for name, change := range map[string]func(*server.Options){"window": nil, "consumer": fromLog} {
		t.Run(name, func(t *testing.T) {
			const total, clients = 2_000, 6
			hub, leaf := regions(t, mirrorDefinition, change)
			var work sync.WaitGroup
			work.Go(func() { hub.publish("notifications.broadcast", 1, total) })
			var mu sync.Mutex
			moves, ahead := 0, 0
			for c := range clients {
				work.Go(func() {
					m := mover{t: t, at: []*region{hub, leaf}, id: "0-world-1", due: 1}
					for m.due <= total && !t.Failed() {
						m.visit(1+c*37, total)
					}
					mu.Lock()
					defer mu.Unlock()
					moves, ahead = moves+m.moves, ahead+m.ahead
				})
			}
			work.Wait()
			t.Logf("%d moves, %d of them to a mirror that was behind the position", moves, ahead)
		})
	}
}

type mover struct {
	t            *testing.T
	at           []*region
	id           string
	due          int
	moves, ahead int
}

func (m *mover) visit(events, total int) {
	to := m.at[m.moves%2]
	m.moves++
	if to.srv != nil && number([]byte(m.id)) > int(to.lastSeq()) {
		m.ahead++
	}
	l := to.listen("/events", m.id)
	defer l.cancel()
	for n := 0; n < events && m.due <= total; {
		ev := l.next()
		if strings.HasPrefix(ev.Type, "tidemark.") {
			if ev.Type == "tidemark.gap" {
				m.t.Errorf("at %s a gap: %s", m.id, ev.Data)
			}
			continue
		}
		if number(ev.Data) != m.due {
			m.t.Errorf("after %s event %s received, want %d", m.id, ev.Data, m.due)
			return
		}
		m.due++
		n++
		m.id = l.last
	}
}

func (r *harness) lastSeq() uint64 {
	stream, err := r.js.Stream(r.t.Context(), "NOTIFICATIONS")
	if err != nil {
		return 0
	}
	return stream.CachedInfo().State.LastSeq
}

// A mirror without the epoch of its origin is logged, and its clients receive a gap.
func TestMirror_WithoutEpoch_SendsGap(t *testing.T) {
	var log testkit.Log
	hub, leaf := regions(t, strings.Replace(mirrorDefinition, `"tidemark.epoch": "world-1"`, "", 1), func(o *server.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	hub.publish("notifications.broadcast", 1, 3)
	leaf.eventually("the mirror has caught up", func() bool { return leaf.lastSeq() == 3 })
	leaf.listen("/events", "2-world-1").want("tidemark.open", "tidemark.gap epoch", "1", "2", "3")
	if !strings.Contains(log.String(), "set tidemark.epoch") {
		t.Errorf("the log has no line about it:\n%s", &log)
	}
}

// Events published through a node with the mirror are stored by the origin, and have its positions. When the
// origin is unreachable, publishers receive 503, and clients wait.
func TestMirror_OriginIsUnreachable_PublishersRetry(t *testing.T) {
	if testing.Short() {
		t.Skip("slow; skipped with -short")
	}
	hub, leaf := regions(t, mirrorDefinition, nil)
	const event = `{"subject":"notifications.broadcast","data":"%d"}`
	leaf.eventually("a publish through the mirror", func() bool {
		status, answer := leaf.post("/publish", fmt.Sprintf(event, 1))
		if status == http.StatusOK && fmt.Sprint(answer["position"]) != "1-world-1" {
			t.Errorf("stored at %v", answer)
		}
		return status == http.StatusOK
	})
	live := leaf.listen("/events", "0-world-1")
	live.want("tidemark.open", "1")
	hub.stop()
	hub.nats.Shutdown()
	hub.nats.WaitForShutdown()
	for range 2 { // the first request may be sent without an answer; then it is not sent at all
		if status, answer := leaf.post("/publish", fmt.Sprintf(event, 2)); status != http.StatusServiceUnavailable {
			t.Errorf("published without an origin: %d %v", status, answer)
		}
	}
	ahead := leaf.listen("/events", "3-world-1")
	ahead.want("tidemark.open")
	hub.nats = runNATS(t, hub.opts)
	hub.connect(hub.nats.ClientURL())
	hub.publish("notifications.broadcast", 2, 5)
	for range 600 { // a mirror connects to its origin again after ten seconds or more
		if leaf.lastSeq() == 5 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	live.wantNumbers(2, 5)
	ahead.wantNumbers(4, 5)
}

func TestMirror_PositionBeyondOrigin_SendsGap(t *testing.T) {
	hub, leaf := regions(t, mirrorDefinition, nil)
	hub.publish("notifications.broadcast", 1, 3)
	leaf.eventually("the mirror has caught up", func() bool { return leaf.lastSeq() == 3 })
	l := leaf.listen("/events", "9-world-1")
	l.want("tidemark.open", "tidemark.gap future")
	hub.publish("notifications.broadcast", 4, 5)
	l.wantNumbers(4, 5)
}

// The server stores a definition with a mirror unchanged.
func TestMirror_Definition_HasNoDifferences(t *testing.T) {
	var log testkit.Log
	_, leaf := regions(t, mirrorDefinition, nil)
	leaf.stop()
	leaf.node(t, mirrorDefinition, func(o *server.Options) {
		o.Logger, o.ApplyStreams = slog.New(slog.NewTextHandler(&log, nil)), false
	})
	if strings.Contains(log.String(), "differs") {
		t.Errorf("it differs:\n%s", &log)
	}
}

// docs/design/positions.md has the definition of the mirror of these tests.
func TestMirror_Definition_IsDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "design", "positions.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.ReplaceAll(string(doc), "\n    ", "\n"), mirrorDefinition) {
		t.Error("docs/design/positions.md has another definition of the mirror")
	}
}
