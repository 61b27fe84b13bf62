package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
)

// memoryNATS is a NATS server that loses its streams in memory in a restart on the same port.
type memoryNATS struct {
	t    *testing.T
	opts natsserver.Options
	srv  *natsserver.Server
}

func startMemoryNATS(t *testing.T) *memoryNATS {
	t.Helper()
	_, port, ok := strings.Cut(freeAddr(t), ":")
	m := &memoryNATS{t: t, opts: natsserver.Options{Host: "127.0.0.1", NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()}}
	if _, err := fmt.Sscan(port, &m.opts.Port); err != nil || !ok {
		t.Fatal(err)
	}
	m.start()
	return m
}

func (m *memoryNATS) start() {
	opts := m.opts
	m.srv = runNATS(m.t, &opts)
}

func (m *memoryNATS) restart() {
	m.t.Helper()
	m.srv.Shutdown()
	m.srv.WaitForShutdown()
	m.start()
}

func memoryStream(o *server.Options) { o.Streams[0].Storage = jetstream.MemoryStorage }

// node starts a node on the server, without waiting until it is ready.
func (m *memoryNATS) node(t *testing.T, change ...func(*server.Options)) *harness {
	t.Helper()
	opts := options(t, m.srv.ClientURL())
	memoryStream(&opts)
	for _, f := range change {
		f(&opts)
	}
	r := startNode(t, opts)
	r.connect(m.srv.ClientURL())
	return r
}

func TestStream_LostWithItsServer_IsCreatedAgain(t *testing.T) {
	store := startMemoryNATS(t)
	r := store.node(t)
	r.awaitReady()
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.publish("notifications.user.42", 1, 1)
	l.wantNumbers(1, 1)
	for n := 2; n < 4; n++ {
		store.restart()
		r.awaitPublish(n)
		l.want("tidemark.gap epoch", fmt.Sprint(n))
		r.awaitReady()
	}
	if _, body := r.request(http.MethodGet, r.base+"/metrics", ""); !bytes.Contains(body, []byte(`tidemark_stream_recreations_total{stream="NOTIFICATIONS"} 2`)) {
		t.Errorf("metrics: %s", body)
	}
}

// awaitPublish publishes a number until it is stored. Until then every answer must report that the stream is
// unavailable, never that no stream has the subject.
func (r *harness) awaitPublish(n int) {
	r.t.Helper()
	r.eventually("an event is stored", func() bool {
		status, answer := r.post("/publish", fmt.Sprintf(`{"subject":"notifications.user.42","data":%d,"id":"n%d"}`, n, n))
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			r.t.Errorf("publish %d: %d %v", n, status, answer)
		}
		return status == http.StatusOK
	})
}

// Three nodes have the same definition. One of them was restarted when the stream existed.
func TestStream_LostUnderSeveralNodes_IsCreatedOnce(t *testing.T) {
	store := startMemoryNATS(t)
	first := store.node(t)
	first.awaitReady()
	first.stop()
	nodes := []*harness{store.node(t), store.node(t), store.node(t)}
	for _, r := range nodes {
		r.awaitReady()
	}
	for n := range 2 {
		store.restart()
		var publishing sync.WaitGroup
		for _, r := range nodes {
			publishing.Go(func() { r.awaitPublish(n) })
		}
		publishing.Wait()
		for _, r := range nodes {
			r.awaitReady()
		}
		info, err := nodes[0].stream().Info(t.Context())
		if err != nil || info.State.Msgs != 1 { // the same id from three nodes
			t.Errorf("stored: %+v, %v", info, err)
		}
	}
}

// While the stream cannot be created, /readyz reports the reason; then the node creates it.
func TestStream_CannotBeCreatedAgain_IsReportedAndRetried(t *testing.T) {
	r := startMemoryNATS(t).node(t)
	r.awaitReady()
	r.removeStream()
	other := jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"notifications.user.>"}, Storage: jetstream.MemoryStorage}
	if _, err := r.js.CreateStream(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	r.eventually("the reason in /readyz", func() bool {
		resp, body := r.request(http.MethodGet, r.base+"/readyz", "")
		return resp.StatusCode == http.StatusServiceUnavailable && bytes.Contains(body, []byte("another stream takes some of the subjects"))
	})
	if err := r.js.DeleteStream(t.Context(), "OTHER"); err != nil {
		t.Fatal(err)
	}
	r.awaitReady()
}

// requests counts API requests of all clients.
type requests struct{ infos, creates atomic.Int64 }

func (r *harness) watchRequests() *requests {
	r.t.Helper()
	var seen requests
	for op, count := range map[string]*atomic.Int64{"INFO": &seen.infos, "CREATE": &seen.creates} {
		if _, err := r.nc.Subscribe("$JS.API.STREAM."+op+".NOTIFICATIONS", func(*nats.Msg) { count.Add(1) }); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.nc.Flush(); err != nil {
		r.t.Fatal(err)
	}
	return &seen
}

func TestStream_MadeByOperator_IsNotCreatedAgain(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *memoryNATS) *harness{
		"before the node": func(t *testing.T, m *memoryNATS) *harness {
			operator := &harness{t: t}
			operator.connect(m.srv.ClientURL())
			operator.createStream()
			return m.node(t)
		},
		"in place of the node's": func(t *testing.T, m *memoryNATS) *harness {
			r := m.node(t)
			r.awaitReady()
			r.removeStream()
			r.createStream()
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := prepare(t, startMemoryNATS(t))
			r.awaitReady() // in the operator's stream
			r.publish("notifications.user.42", 1, 1)
			seen := r.watchRequests()
			r.removeStream()
			r.eventually("a publish to be refused", func() bool {
				status, _ := r.post("/publish", `{"subject":"notifications.user.42","data":1}`)
				return status == http.StatusUnprocessableEntity
			})
			before := seen.infos.Load()
			r.eventually("further attempts to create the stream", func() bool { return seen.infos.Load() > before+16 })
			if n := seen.creates.Load(); n > 0 {
				t.Errorf("%d attempts to create the stream", n)
			}
			if status := r.status("/readyz"); status != http.StatusServiceUnavailable {
				t.Errorf("/readyz: %d", status)
			}
		})
	}
}

func (r *harness) createStream() {
	r.t.Helper()
	cfg := testStream()
	cfg.Storage = jetstream.MemoryStorage
	if _, err := r.js.CreateStream(r.t.Context(), cfg); err != nil {
		r.t.Fatal(err)
	}
}

// removeStream deletes a stream in memory.
func (r *harness) removeStream() {
	r.t.Helper()
	if err := r.js.DeleteStream(r.t.Context(), "NOTIFICATIONS"); err != nil {
		r.t.Fatal(err)
	}
}

// A stream without the subject differs from a missing stream.
func TestStream_SubjectNotInStream_PublishIsRefused(t *testing.T) {
	store := startMemoryNATS(t)
	r := store.node(t)
	r.awaitReady()
	cfg := r.stream().CachedInfo().Config
	cfg.Subjects = []string{"notifications.user.>"}
	if _, err := r.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if status, answer := r.post("/publish", `{"subject":"notifications.broadcast","data":1}`); status != http.StatusUnprocessableEntity {
		t.Errorf("%d %v", status, answer)
	}
}
