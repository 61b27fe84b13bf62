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

// workerOptions returns the options of a run with several workers, which are this test binary.
func (d *fakeServer) workerOptions(conns, workers int) Options {
	opts := d.options(conns)
	opts.Workers = workers
	opts.WorkerCommand = []string{os.Args[0]}
	return opts
}

func TestWorkers_AnyNumber_SameVerdict(t *testing.T) {
	for name, f := range map[string]faults{
		"good": {}, "drops": {drop: 100}, "repeats": {repeat: 100}, "reorders": {swap: 100}, "announces": {drop: 100, announce: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var verdicts []Verdict
			for _, workers := range []int{1, 2, 3} {
				r, err := Load(t.Context(), newFakeServer(t, f).workerOptions(20, workers))
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

func TestWorkers_PerUser_CountAll(t *testing.T) {
	opts := newFakeServer(t, faults{}).workerOptions(30, 2)
	opts.Pattern, opts.Users = PerUser, 10
	r, err := Load(t.Context(), opts)
	if err != nil || !r.Verdict.OK() || r.Verdict.Delivered != 1200 || r.Verdict.Expected != 1200 {
		t.Errorf("%+v, %v", r.Verdict, err)
	}
}

func TestWorkers_Storm_MeasureCatchUp(t *testing.T) {
	opts := newFakeServer(t, faults{}).workerOptions(50, 2)
	opts.For = 100 * time.Millisecond
	r, err := Storm(t.Context(), StormOptions{Options: opts, Missed: 10})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Verdict.OK() || r.Verdict.Delivered != 50*50 || r.CaughtUp <= 0 || r.Connect.Reconnects != 50 {
		t.Errorf("%+v, caught up after %v, %d reconnects", r.Verdict, r.CaughtUp, r.Connect.Reconnects)
	}
}

func TestWorkers_Soak_VerdictIsExact(t *testing.T) {
	for name, c := range map[string]struct {
		faults faults
		lost   int
	}{
		"good": {faults{}, 0}, "drops 1 in 1000": {faults{drop: 1000}, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := newFakeServer(t, c.faults).workerOptions(40, 2)
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

func TestWorkers_Series_AddsUp(t *testing.T) {
	opts := newFakeServer(t, faults{}).workerOptions(20, 2)
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

func TestWorkers_OneKilled_RunFails(t *testing.T) {
	opts := newFakeServer(t, faults{}).workerOptions(20, 2)
	opts.For = time.Hour
	_, err := run(t.Context(), "load", opts.withDefaults(), func(ctx context.Context, b *bench) error {
		if err := b.connect(ctx); err != nil {
			return err
		}
		if err := b.clients.(*workers).procs[1].cmd.Process.Kill(); err != nil {
			return err
		}
		return b.publish(ctx, "publishing", eventCount(opts))
	})
	if err == nil || !strings.Contains(err.Error(), "worker 2 of 2") || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("the run ended with %v", err)
	}
}

func TestWorkers_Failure_NamesTheWorker(t *testing.T) {
	d := newFakeServer(t, faults{})
	for name, c := range map[string]struct {
		command []string
		url     string
		want    string
	}{
		"no such program": {[]string{"/nonexistent/tidemark"}, d.URL, "starting a worker"},
		"another program": {[]string{"sh", "-c", "echo hello; sleep 60"}, d.URL, `^worker [12] of 2 \(pid \d+\): .*its output is not JSON-RPC`},
		"an early end":    {[]string{"sh", "-c", "echo out of luck >&2; exit 3"}, d.URL, `^worker [12] of 2 \(pid \d+\): it ended \(exit status 3\): out of luck`},
		"no listener":     {nil, "http://127.0.0.1:1/", `^worker [12] of 2 \(pid \d+\): cannot connect`},
		"a strange URL":   {nil, "nonsense", `^worker [12] of 2 \(pid \d+\): .*want http://host`},
		"too few files":   {[]string{"sh", "-c", "ulimit -n 30; exec " + os.Args[0]}, d.URL + "/sub/all", `^worker [12] of 2 \(pid \d+\): .*too many open files.*ulimit -n`},
	} {
		t.Run(name, func(t *testing.T) {
			opts := d.workerOptions(100, 2)
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

// The clients of each part are spread over all loops.
func TestPartition_TwoWorkers_HaveEachClientOnce(t *testing.T) {
	keys := map[int]string{}
	for worker := range 2 {
		opts := Options{URL: "http://127.0.0.1:1/", Conns: 11, Pattern: PerUser, Users: 3}
		s, err := newLocalClients(opts, Partition{Run: "cafe0123", Index: worker, Of: 2}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		if err := s.createClients(); err != nil {
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

func TestWorkers_ContextEnds_Disconnect(t *testing.T) {
	d := newFakeServer(t, faults{})
	opts := d.workerOptions(20, 2)
	opts.For = time.Hour
	ctx, stop := context.WithCancel(t.Context())
	go func() { d.waitForOpen(20); stop() }()
	if _, err := Load(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
	d.waitForOpen(0)
}

func TestWorkers_RunKilled_Disconnect(t *testing.T) {
	d := newFakeServer(t, faults{})
	opts := d.workerOptions(20, 2)
	opts.For = time.Hour
	text, err := json.Marshal(opts)
	if err != nil {
		t.Fatal(err)
	}
	runCmd := exec.Command(os.Args[0])
	runCmd.Env = append(runCmd.Environ(), asRun+"="+string(text))
	if err := runCmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.waitForOpen(20)
	if err := runCmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = runCmd.Wait()
	d.waitForOpen(0)
}

func TestRunWorker_Calls_AreAnswered(t *testing.T) {
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- RunWorker(t.Context(), in, out) }()
	replies := json.NewDecoder(answers)
	call := func(id int, method, params, want string) {
		t.Helper()
		fmt.Fprintf(requests, `{"id":%d,"method":"Worker.%s","params":[%s]}`+"\n", id, method, params)
		var reply struct {
			ID    int    `json:"id"`
			Error string `json:"error"`
		}
		if err := replies.Decode(&reply); err != nil || reply.ID != id || !strings.Contains(reply.Error, want) || want == "" && reply.Error != "" {
			t.Errorf("%s: %+v, %v; want %q", method, reply, err, want)
		}
	}
	call(1, "Sample", "{}", "before Start")
	call(2, "Start", "{}", "needs a part")
	call(3, "Start", `{"options":{"URL":"http://127.0.0.1:1","Conns":1},"part":{"of":1}}`, "")
	call(4, "Sample", "{}", "")
	call(5, "Dance", "{}", "Worker.Dance")
	requests.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestHistogram_MergedParts_EqualTheWhole(t *testing.T) {
	whole, merged := newHistogram(), newHistogram()
	for range 3 {
		part := newHistogram()
		for range 10_000 {
			v := min(int64(rand.ExpFloat64()*50e6), maxLatency-1)
			_ = part.RecordValue(v)
			_ = whole.RecordValue(v)
		}
		_ = part.RecordValues(maxLatency-1, 3)
		_ = whole.RecordValues(maxLatency-1, 3)
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

// The first violations are those of the first clients, not of the first worker.
func TestClientsResult_Add_KeepsFirstViolations(t *testing.T) {
	all := ClientsResult{Latency: &histogram{newHistogram()}}
	for worker := range 3 {
		part := ClientsResult{Latency: &histogram{newHistogram()}, Bytes: 1, Reconnects: 2}
		for i := range maxViolations {
			part.Violations = append(part.Violations, violation{3*i + worker, fmt.Sprint("client ", 3*i+worker)})
		}
		part.Verdict.Lost = 10
		all.add(part)
	}
	v := all.fullVerdict()
	if v.Lost != 30 || all.Bytes != 3 || all.Reconnects != 6 || len(v.First) != maxViolations {
		t.Errorf("%+v", all)
	}
	for i, text := range v.First {
		if text != fmt.Sprint("client ", i) {
			t.Errorf("violation %d is of %s", i, text)
		}
	}
}
