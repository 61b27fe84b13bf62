package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// shared is a run against the double by several workers, which are this test binary.
func (d *double) shared(conns, workers int) Options {
	opts := d.options(conns)
	opts.Workers = workers
	opts.WorkerCommand = []string{os.Args[0]}
	return opts
}

// TestWorkersCountAsOne: the verdict does not depend on how many processes share the clients,
// nor do the sentences.
func TestWorkersCountAsOne(t *testing.T) {
	for name, f := range map[string]faults{
		"good": {}, "drops": {drop: 100}, "repeats": {repeat: 100}, "reorders": {swap: 100}, "announces": {drop: 100, announce: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var verdicts []Verdict
			for _, workers := range []int{1, 2, 3} {
				r, err := Load(t.Context(), newDouble(t, f).shared(20, workers))
				if err != nil {
					t.Fatal(err)
				}
				if r.Workers != workers || r.Connect.Opened != 20 || r.Connect.PerSecond <= 0 || r.WireBytes == 0 ||
					r.Latency.Count != int64(r.Verdict.Delivered+r.Verdict.Repeated) {
					t.Errorf("%d workers: %+v, %+v", workers, r.Connect, r.Latency)
				}
				verdicts = append(verdicts, r.Verdict)
			}
			if !reflect.DeepEqual(verdicts[0], verdicts[1]) || !reflect.DeepEqual(verdicts[0], verdicts[2]) {
				t.Errorf("with 1, 2 and 3 workers:\n%+v\n%+v\n%+v", verdicts[0], verdicts[1], verdicts[2])
			}
		})
	}
}

func TestWorkersPerUser(t *testing.T) {
	opts := newDouble(t, faults{}).shared(30, 2)
	opts.Pattern, opts.Users = PerUser, 10
	r, err := Load(t.Context(), opts)
	if err != nil || !r.Verdict.OK() || r.Verdict.Delivered != 1200 || r.Verdict.Expected != 1200 {
		t.Errorf("%+v, %v", r.Verdict, err)
	}
}

func TestWorkersStorm(t *testing.T) {
	opts := newDouble(t, faults{}).shared(50, 2)
	opts.For = 100 * time.Millisecond
	r, err := Storm(t.Context(), StormOptions{Options: opts, Missed: 10})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Verdict.OK() || r.Verdict.Delivered != 50*50 || r.Level <= 0 || r.Connect.Reconnects != 50 {
		t.Errorf("%+v, level after %v, %d reconnects", r.Verdict, r.Level, r.Connect.Reconnects)
	}
}

// TestWorkersSoak: clients come and go in both processes, and one event in a thousand that is
// dropped is found.
func TestWorkersSoak(t *testing.T) {
	for name, c := range map[string]struct {
		faults faults
		lost   int
	}{
		"good": {faults{}, 0}, "drops 1 in 1000": {faults{drop: 1000}, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := newDouble(t, c.faults).shared(40, 2)
			opts.Rate, opts.For = 800, 1500*time.Millisecond
			r, err := Soak(t.Context(), SoakOptions{Options: opts, Churn: 100, Absence: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict.Lost != c.lost || r.Verdict.OK() != (c.lost == 0) || r.Verdict.Expected != 40*1201 || r.Connect.Reconnects == 0 {
				t.Errorf("%d published, %d reconnects: %+v", r.Published, r.Connect.Reconnects, r.Verdict)
			}
		})
	}
}

// TestSeries: what is sampled every second adds up to what the run counted.
func TestSeries(t *testing.T) {
	opts := newDouble(t, faults{}).shared(20, 2)
	phases := map[string]bool{}
	opts.Rate, opts.For = 100, 2*time.Second
	opts.Progress = func(phase string, s Sample) { phases[phase] = true }
	r, err := Load(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	var delivered, published int
	for _, s := range r.Series {
		delivered += s.Delivered
		published += s.Published
	}
	if delivered != r.Verdict.Delivered || published != r.Published || !phases["publishing"] || !phases["done"] {
		t.Errorf("%d of %d delivered, %d of %d published in %v", delivered, r.Verdict.Delivered, published, r.Published, phases)
	}
	if runtime.GOOS == "linux" && (r.Self.PID != os.Getpid() || r.Self.RSSIdle < 3*(1<<20)) {
		t.Errorf("three processes took %+v", r.Self)
	}
}

// TestWorkerKilled: a run without one of its workers cannot be trusted, and says so at once.
func TestWorkerKilled(t *testing.T) {
	opts := newDouble(t, faults{}).shared(20, 2)
	opts.For = time.Hour
	_, err := run(t.Context(), "load", opts.withDefaults(), func(b *bench, ctx context.Context) error {
		if err := b.connect(ctx); err != nil {
			return err
		}
		if err := b.crowd.(*workers).procs[1].cmd.Process.Kill(); err != nil {
			return err
		}
		return b.publish(ctx, "publishing", events(opts))
	})
	if err == nil || !strings.Contains(err.Error(), "worker 2 of 2") || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("the run ended with %v", err)
	}
}

// TestWorkersFail names the worker and its reason, whatever the reason is.
func TestWorkersFail(t *testing.T) {
	d := newDouble(t, faults{})
	for name, c := range map[string]struct {
		command []string
		url     string
		want    string
	}{
		"no such program": {[]string{"/nonexistent/tidemark"}, d.URL, "starting a worker"},
		"another program": {[]string{"sh", "-c", "echo hello; sleep 60"}, d.URL, `^worker [12] of 2 \(pid \d+\): .*what it wrote is no answer`},
		"an early end":    {[]string{"sh", "-c", "echo out of luck >&2; exit 3"}, d.URL, `^worker [12] of 2 \(pid \d+\): it ended \(exit status 3\): out of luck`},
		"nobody listens":  {nil, "http://127.0.0.1:1/", `^worker [12] of 2 \(pid \d+\): cannot connect`},
		"a strange URL":   {nil, "nonsense", `^worker [12] of 2 \(pid \d+\): .*use http://host`},
		"too few files":   {[]string{"sh", "-c", "ulimit -n 30; exec " + os.Args[0]}, d.URL + "/sub/all", `^worker [12] of 2 \(pid \d+\): .*too many open files.*ulimit -n`},
	} {
		t.Run(name, func(t *testing.T) {
			opts := d.shared(100, 2)
			opts.URL = c.url
			if c.command != nil {
				opts.WorkerCommand = c.command
			}
			_, err := Load(t.Context(), opts)
			if err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestShares: every client is in one share, and those of each share are spread over all loops.
func TestShares(t *testing.T) {
	keys := map[int]string{}
	for worker := range 2 {
		opts := Options{URL: "http://127.0.0.1:1/", Conns: 11, Pattern: PerUser, Users: 3}
		s, err := newSwarm(opts, share{Run: "cafe0123", Index: worker, Of: 2}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		if err := s.gather(); err != nil {
			t.Fatal(err)
		}
		defer s.close()
		in := map[*shard]int{}
		for _, c := range s.clients {
			keys[c.index] = c.key
			in[c.shard]++
		}
		if a, b := in[s.shards[0]], in[s.shards[1]]; a-b > 1 || b-a > 1 {
			t.Errorf("the loops have %d and %d clients", a, b)
		}
	}
	for i := range 11 {
		if want := fmt.Sprint("u", i%3); keys[i] != want || len(keys) != 11 {
			t.Errorf("client %d of %d has the key %q, want %q", i, len(keys), keys[i], want)
		}
	}
}

// TestRunEnds: workers end with the context of the run.
func TestRunEnds(t *testing.T) {
	d := newDouble(t, faults{})
	opts := d.shared(20, 2)
	opts.For = time.Hour
	ctx, stop := context.WithCancel(t.Context())
	go func() { d.awaitOpen(20); stop() }()
	if _, err := Load(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
	d.awaitOpen(0)
}

// TestStandKilled: nobody is left behind by a stand that was killed.
func TestStandKilled(t *testing.T) {
	d := newDouble(t, faults{})
	opts := d.shared(20, 2)
	opts.For = time.Hour
	text, err := json.Marshal(opts)
	if err != nil {
		t.Fatal(err)
	}
	stand := exec.Command(os.Args[0])
	stand.Env = append(stand.Environ(), asStand+"="+string(text))
	if err := stand.Start(); err != nil {
		t.Fatal(err)
	}
	d.awaitOpen(20)
	if err := stand.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = stand.Wait()
	d.awaitOpen(0)
}

// TestRunWorker is a worker without a stand.
func TestRunWorker(t *testing.T) {
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- RunWorker(t.Context(), in, out) }()
	lines := json.NewDecoder(answers)
	ask := func(text, want string) {
		t.Helper()
		fmt.Fprintln(requests, text)
		var a answer
		if err := lines.Decode(&a); err != nil || a.ID == 0 || !strings.Contains(a.Error, want) || want == "" && a.Error != "" {
			t.Errorf("%s: %+v, %v; want %q", text, a, err, want)
		}
	}
	ask(`{"id":1,"do":"sample"}`, "before the start")
	ask(`{"id":2,"do":"start"}`, "with options")
	ask(`{"id":3,"do":"start","options":{"URL":"http://127.0.0.1:1","Conns":1},"share":{"of":1}}`, "")
	ask(`{"id":4,"do":"sample"}`, "")
	ask(`{"id":5,"do":"dance"}`, `"dance"`)
	requests.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestHistogramsMerge: percentiles of parts that went through text are those of the whole.
func TestHistogramsMerge(t *testing.T) {
	whole, merged := newHistogram(), newHistogram()
	for range 3 {
		part := newHistogram()
		for range 10_000 {
			v := min(int64(rand.ExpFloat64()*50e6), longest-1)
			_ = part.RecordValue(v)
			_ = whole.RecordValue(v)
		}
		_ = part.RecordValues(longest-1, 3)
		_ = whole.RecordValues(longest-1, 3)
		text, err := json.Marshal(&histogram{part})
		if err != nil {
			t.Fatal(err)
		}
		var read histogram
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if dropped := merged.Merge(read.Histogram); dropped != 0 {
			t.Errorf("%d dropped", dropped)
		}
	}
	if !whole.Equals(merged) || !reflect.DeepEqual(newLatency(whole), newLatency(merged)) {
		t.Errorf("%+v, want %+v", newLatency(merged), newLatency(whole))
	}
	var none histogram
	if text, err := json.Marshal(&histogram{newHistogram()}); err != nil || json.Unmarshal(text, &none) != nil || none.TotalCount() != 0 {
		t.Errorf("an empty one is read as %+v, %v", none, err)
	}
}

// TestHarvestsAdd: the first violations are the first clients', not the first worker's.
func TestHarvestsAdd(t *testing.T) {
	all := harvest{Latency: &histogram{newHistogram()}}
	for worker := range 3 {
		part := harvest{Latency: &histogram{newHistogram()}, Bytes: 1, Reconnects: 2}
		for i := range maxSentences {
			part.Violations = append(part.Violations, violation{3*i + worker, fmt.Sprint("client ", 3*i+worker)})
		}
		part.Verdict.Lost = 10
		all.add(part)
	}
	v := all.verdict()
	if v.Lost != 30 || all.Bytes != 3 || all.Reconnects != 6 || len(v.First) != maxSentences {
		t.Errorf("%+v", all)
	}
	for i, text := range v.First {
		if text != fmt.Sprint("client ", i) {
			t.Errorf("violation %d is of %s", i, text)
		}
	}
}
