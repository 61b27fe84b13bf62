package loadtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsd"
)

// withArrays makes a run publish as to Tidemark.
func (d *fakeServer) withArrays(o Options) Options {
	o.Publish = PublishTarget{URL: d.URL + "/publish", Body: `{"user":"{user}","data":"{payload}"}`, Arrays: true}
	return o
}

// burstSizes returns the number of stored events of each send time, in the stored order.
func (d *fakeServer) burstSizes(t *testing.T) (sizes []int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var last int64
	numbers := map[string]int{}
	for _, ev := range d.events {
		run, _, _ := strings.Cut(strings.TrimPrefix(ev.data, markerPrefix), "/")
		key, n, sent, ok := findMarker([]byte(ev.data), run)
		if numbers[string(key)]++; !ok || n != numbers[string(key)] {
			t.Fatalf("%q is stored as event %d for %s", ev.data, numbers[string(key)], key)
		}
		if sent != last {
			sizes, last = append(sizes, 0), sent
		}
		sizes[len(sizes)-1]++
	}
	return sizes
}

func TestLoad_Bursts_AreStoredInOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate   float64
		burst  int
		users  int
		arrays bool
		want   []int // events of each send time
		posts  int   // with arrays
	}{
		"POSTs":                       {400, 100, 0, false, []int{100, 100, 100, 100}, 0},
		"POSTs for users":             {400, 100, 7, false, []int{100, 100, 100, 100}, 0},
		"arrays":                      {400, 100, 0, true, []int{100, 100, 100, 100}, 4},
		"arrays for users":            {400, 100, 7, true, []int{100, 100, 100, 100}, 4},
		"the last is smaller":         {400, 150, 0, true, []int{150, 150, 100}, 3},
		"less than a burst":           {400, 1000, 0, true, []int{400}, 1},
		"more than an array may hold": {2500, 2500, 0, true, []int{2500}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newFakeServer(t, faults{})
			opts := d.options(10)
			opts.Rate, opts.Burst = c.rate, c.burst
			if opts.Users = c.users; c.users > 0 {
				opts.Pattern = PerUser
			}
			if c.arrays {
				opts = d.withArrays(opts)
			}
			r, err := Load(t.Context(), opts)
			if err != nil || !r.Verdict.OK() || r.Published != int(c.rate) || r.Burst != c.burst {
				t.Fatalf("%d published, bursts of %d: %+v, %v", r.Published, r.Burst, r.Verdict, err)
			}
			if got := d.burstSizes(t); !slices.Equal(got, c.want) {
				t.Errorf("bursts of %d, want %d", got, c.want)
			}
			from := map[string]bool{}
			for _, p := range d.posts {
				from[p.from] = true
			}
			if len(from) != 1 || c.arrays && len(d.posts) != c.posts {
				t.Errorf("%d POSTs on %d connections", len(d.posts), len(from))
			}
			since := FirstReceipt
			if len(c.want) == 1 {
				since = BurstDue
			}
			if r.Delivery.Since != since || r.Delivery.PerSecond <= 0 {
				t.Errorf("%+v", r.Delivery)
			}
		})
	}
}

func TestLoad_OneBurst_DeliveryIsTheSlowestLatency(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		d := newFakeServer(t, faults{})
		opts := d.workerOptions(20, workers)
		opts.Burst = 400
		r, err := Load(t.Context(), opts)
		if err != nil || !r.Verdict.OK() {
			t.Fatalf("%+v, %v", r.Verdict, err)
		}
		// The histogram has three digits.
		if off := (r.Delivery.Took - r.Latency.Max).Abs(); off > r.Latency.Max/100 || r.Delivery.Since != BurstDue {
			t.Errorf("%d workers: delivered in %v since %q, the slowest delivery took %v", workers, r.Delivery.Took, r.Delivery.Since, r.Latency.Max)
		}
	}
	if r, err := Load(t.Context(), newFakeServer(t, faults{}).options(2)); err != nil || r.Burst != 1 || r.Delivery != (Delivery{}) {
		t.Errorf("a run without bursts: %d, %+v, %v", r.Burst, r.Delivery, err)
	}
}

func TestStormAndSoak_Bursts_AreStoredInOrder(t *testing.T) {
	t.Parallel()
	d := newFakeServer(t, faults{})
	opts := d.withArrays(d.options(20))
	opts.For, opts.Burst = 100*time.Millisecond, 30
	r, err := Storm(t.Context(), StormOptions{Options: opts, Missed: 40})
	if err != nil || !r.Verdict.OK() || r.Verdict.Delivered != 20*80 {
		t.Errorf("storm: %+v, %v", r.Verdict, err)
	}
	if got, want := d.burstSizes(t), []int{30, 10, 30, 10}; !slices.Equal(got, want) {
		t.Errorf("bursts of %d, want %d", got, want)
	}
	opts.For = 500 * time.Millisecond
	if r, err = Soak(t.Context(), SoakOptions{Options: opts, Churn: 50, Absence: 100 * time.Millisecond}); err != nil || !r.Verdict.OK() || r.Published != 201 {
		t.Errorf("soak: %d published, %+v, %v", r.Published, r.Verdict, err)
	}
}

// A retry may complete a burst. A run fails if the order is wrong, or if an answer does not have it.
func TestLoad_BurstStoredInPart_CompletesOrFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults faults
		want   string
	}{
		"cut":           {faults{refuse: 30}, ""},
		"one left out":  {faults{refuse: 30, storeRest: true}, "event 31 for all: DOUBLE has it at 30 and event 30 at 100"},
		"short answers": {faults{short: 1}, "not an array of 100 results"},
	} {
		d := newFakeServer(t, c.faults)
		opts := d.withArrays(d.options(5))
		opts.Burst = 100
		r, err := Load(t.Context(), opts)
		if c.want == "" && (err != nil || !r.Verdict.OK() || r.Published != 400) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %+v, %v", name, r.Verdict, err)
		}
	}
}

func TestLoad_InvalidBurstOptions_AreRejected(t *testing.T) {
	d := newFakeServer(t, faults{})
	for want, change := range map[string]func(*Options){
		"--burst -1":            func(o *Options) { o.Burst = -1 },
		"--payload 1048560":     func(o *Options) { *o = d.withArrays(*o); o.Burst, o.Payload = 2, 1048560 },
		"--payload 2000000: na": func(o *Options) { o.Publish.URL, o.Publish.Subject, o.Payload = startNATS(t), "x", 2000000 },
	} {
		opts := d.options(1)
		change(&opts)
		if _, err := Load(t.Context(), opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestSink_Burst_IsSplitWithinLimits(t *testing.T) {
	burst := func(keys string) (all []message) {
		for i, key := range keys {
			all = append(all, message{key: string(key), n: i, payload: strings.Repeat("~", 100)})
		}
		return all
	}
	big := burst("aaa")
	big[1].payload = strings.Repeat("~", 2<<20)
	for name, c := range map[string]struct {
		sink  sink
		burst []message
		want  []int
	}{
		"an array":         {newHTTPSink(PublishTarget{Arrays: true}, 5, false), burst("aabba"), []int{5}},
		"a header of each": {newHTTPSink(PublishTarget{Arrays: true, Headers: []string{"User: {user}"}}, 5, false), burst("aabba"), []int{2, 2, 1}},
		"a URL of each":    {newHTTPSink(PublishTarget{Arrays: true, URL: "http://h/{payload}"}, 5, false), burst("aab"), []int{1, 1, 1}},
		"no arrays":        {newHTTPSink(PublishTarget{}, 5, false), burst("aa"), []int{1, 1}},
		"no bursts":        {newHTTPSink(PublishTarget{Arrays: true}, 1, false), burst("a"), []int{1}},
		"many":             {newHTTPSink(PublishTarget{Arrays: true}, 5, false), burst(strings.Repeat("a", 2001)), []int{1000, 1000, 1}},
		"too large":        {newHTTPSink(PublishTarget{Arrays: true}, 5, false), big, []int{1, 1, 1}},
		"many for NATS":    {&natsSink{}, burst(strings.Repeat("a", 9000)), []int{4096, 4096, 808}},
	} {
		var got []int
		n := 0
		for _, b := range c.sink.batches(c.burst) {
			for _, m := range b {
				if m.n != n {
					t.Fatalf("%s: message %d comes as %d", name, m.n, n)
				}
				n++
			}
			got = append(got, len(b))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func startNATS(t *testing.T) (url string) {
	t.Helper()
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	return srv.ClientURL()
}

// startStream starts a server with a stream for e.>.
func startStream(t *testing.T, window time.Duration) (url string, s jetstream.Stream, js jetstream.JetStream) {
	t.Helper()
	url = startNATS(t)
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	s, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "E", Subjects: []string{"e.>"}, Duplicates: window})
	if err != nil {
		t.Fatal(err)
	}
	return url, s, js
}

func testPublisher(t *testing.T, url string, burst int) *publisher {
	t.Helper()
	opts := Options{
		Publish: PublishTarget{URL: url, Subject: "e.{user}"}, Conns: 1, Rate: 1e6, Burst: burst, Payload: 100,
	}.withDefaults()
	p, err := newPublisher(opts, "cafe0123")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.sink.close)
	return p
}

// storedNumbers returns the numbers in a stream in its order.
func storedNumbers(t *testing.T, s jetstream.Stream, n int) (numbers []int) {
	t.Helper()
	for seq := range uint64(n) {
		msg, err := s.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		_, n, _, _ := findMarker(msg.Data, "cafe0123")
		numbers = append(numbers, n)
	}
	if info, err := s.Info(t.Context()); err != nil || info.State.Msgs != uint64(n) {
		t.Errorf("the stream has %d messages, want %d; %v", info.State.Msgs, n, err)
	}
	return numbers
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// The connection is lost in the middle of the messages, or of their acknowledgements.
func TestPublisher_NATSConnectionsCut_StoresBurstsInOrder(t *testing.T) {
	t.Parallel()
	for name, cuts := range map[string]proxyCut{
		"whole": {}, "cut while sent": {after: 30_000}, "cut while acknowledged": {answers: true, after: 6000}, "cut at once": {after: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, s, _ := startStream(t, 2*time.Minute)
			url = cuts.proxy(t, url)
			p := testPublisher(t, url, 250)
			if err := p.send(t.Context(), 1000); err != nil || p.published != 1000 {
				t.Fatalf("%d published, %v", p.published, err)
			}
			if got := storedNumbers(t, s, 1000); !reflect.DeepEqual(got, upTo(1000)) {
				t.Errorf("stored as %v", got)
			}
		})
	}
}

func TestPublisher_BurstCannotBeOrdered_Fails(t *testing.T) {
	t.Parallel()
	t.Run("a window that is too short", func(t *testing.T) {
		t.Parallel()
		url, _, _ := startStream(t, time.Second)
		p := testPublisher(t, proxyCut{after: 30_000}.proxy(t, url), 250)
		if err := p.send(t.Context(), 1000); err == nil || !strings.Contains(err.Error(), "the duplicate window of E is 1s") {
			t.Error(err)
		}
	})
	t.Run("an event that is there already", func(t *testing.T) {
		t.Parallel()
		url, _, js := startStream(t, time.Minute)
		if _, err := js.Publish(t.Context(), "e.all", nil, jetstream.WithMsgID("cafe0123-all-30")); err != nil {
			t.Fatal(err)
		}
		p := testPublisher(t, url, 250)
		if err := p.send(t.Context(), 250); err == nil || !strings.Contains(err.Error(), "event 30 for all: E has it at 1 and event 29 at 30") {
			t.Error(err)
		}
	})
	t.Run("a message that is too large", func(t *testing.T) {
		t.Parallel()
		url, _, _ := startStream(t, time.Minute)
		p := testPublisher(t, url, 2)
		p.opts.Payload = 2 << 20
		if _, refused := errors.AsType[refusedError](p.send(t.Context(), 2)); !refused {
			t.Error("it is not refused")
		}
	})
}

// proxyCut is when a proxy closes its first connection: after that many bytes from the client, or to
// it. 0 is never.
type proxyCut struct {
	after   int64
	answers bool
}

// proxy starts a proxy for a server.
func (c proxyCut) proxy(t *testing.T, target string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var piping sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	piping.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(target, "nats://"))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			first := len(open) == 0
			open = append(open, client, server)
			mu.Unlock()
			pipe := func(to, from net.Conn, cut bool) {
				var in io.Reader = from
				if cut && first && c.after > 0 {
					in = io.LimitReader(from, c.after)
				}
				_, _ = io.Copy(to, in)
				_ = to.Close()
				_ = from.Close()
			}
			piping.Go(func() { pipe(server, client, !c.answers) })
			piping.Go(func() { pipe(client, server, c.answers) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		piping.Wait()
	})
	return fmt.Sprintf("nats://%s", l.Addr())
}
