package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	unitFile = "../config/systemd/tidemark.service"
	analyser = "systemd-analyze" //nolint:misspell // the name of the command
)

// exposureLimit is above what systemd 252 measures (1.2; 0 is best and 10 worst), as versions differ.
const exposureLimit = 2.0

var exposureLevel = regexp.MustCompile(`Overall exposure level for tidemark.service: ([0-9.]+)`)

func TestUnit_OfflineAnalysis_FindsNothing(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath(analyser); err != nil {
		t.Skip(err)
	}
	raw, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// verify requires the command to exist, and it is not installed here.
	unit := filepath.Join(t.TempDir(), "tidemark.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(raw), "/usr/local/bin/tidemark", command(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyser, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "tidemark.service:") {
		t.Errorf("%s verify: %v\n%s", analyser, err, out)
	}
	out, err := exec.Command(analyser, "security", "--offline=yes", unit).CombinedOutput()
	if err != nil && strings.Contains(string(out), "option '--offline") {
		t.Skip("it looks at running units alone here: " + analyser)
	}
	found := exposureLevel.FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("%s security: %v\n%s", analyser, err, out)
	}
	level, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil || level > exposureLimit {
		t.Errorf("the exposure level is %s, at most %.1f is wanted\n%s", found[1], exposureLimit, out)
	}
}

// unitService is tidemark.service on a systemdMachine, with a client that counts.
type unitService struct {
	*systemdMachine
	httpAddr, natsAddr string
	p                  *producer
	live               *follower
	last               int // the number of the last event
}

// TestSystemd runs the steps of docs/operate/systemd.md with the unit unchanged, while a client stays connected.
func TestSystemd(t *testing.T) {
	t.Parallel()
	u := newUnitService(t)
	for _, step := range []struct {
		name string
		test func(*testing.T, *unitService)
	}{
		{"the hardening is in force", testHardening},
		{"reload keeps clients", testUnitReload},
		{"a crash is followed by a restart", testUnitCrash},
		{"a second process is refused the directory", testUnitSecondProcess},
		{"upgrade", testUnitUpgrade},
		{"stop drains, start continues", testUnitStop},
		{"backup and restore", testUnitRestore}, // loses events: the last one for the client that counts
		{"little memory", testUnitMemory},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(t, u) }) {
			t.Logf("the log of the service:\n%s", tail(u.log(), 4<<10))
			return
		}
	}
}

func newUnitService(t *testing.T) *unitService {
	t.Helper()
	m := bootSystemd(t)
	u := &unitService{systemdMachine: m, httpAddr: freeAddr(t), natsAddr: freeAddr(t)}
	m.install(stamped(t, "v1.0.0"))
	m.env = []string{"TIDEMARK_HTTP_ADDR=" + u.httpAddr, "TIDEMARK_ADMIN_ADDR=" + freeAddr(t)}
	settings := strings.Join(append(m.env, "TIDEMARK_NATS_EMBEDDED_ADDR="+u.natsAddr,
		"TIDEMARK_DEV=true", "TIDEMARK_SSE_HEARTBEAT=1s", "TIDEMARK_SSE_RETRY=100ms"), "\n")
	// Instead of the journal.
	m.dropIn("log", "StandardError=append:"+u.log())
	m.run("mkdir -p /etc/tidemark; cat >/etc/tidemark/environment <<'X'\n" + settings + "\nX")
	m.env = append(m.env, "TIDEMARK_NATS_EMBEDDED_ADDR="+u.natsAddr) // which commands read as configuration
	m.typeDocumented("install")
	u.p = newProducerAt(t, "nats://"+u.natsAddr)
	u.live = follow(t, "client", u.url("/events?user=42"), 0)
	u.live.awaitOpen(1)
	u.during(t, func() {})
	return u
}

func (u *unitService) url(path string) string { return "http://" + u.httpAddr + path }

func (u *unitService) log() string { return filepath.Join(u.dir, "service.log") }

func (u *unitService) property(name string) string {
	u.t.Helper()
	return u.run("systemctl show --property " + name + " --value tidemark")
}

func (m *systemdMachine) dropIn(name, line string) {
	m.t.Helper()
	const dir = "/etc/systemd/system/tidemark.service.d"
	m.run(fmt.Sprintf("mkdir -p %[1]s; printf '[Service]\n%%s\n' '%[2]s' >%[1]s/%[3]s.conf; systemctl daemon-reload", dir, line, name))
}

// during publishes during a change. Then the client must have every event once, in order.
func (u *unitService) during(t *testing.T, happens func()) {
	t.Helper()
	first := u.last + 1
	u.last += 140 // the last event is for all users
	last := u.last
	var publishing sync.WaitGroup
	publishing.Go(func() { u.p.publish(first, last) })
	u.p.awaitStored(first + 20)
	begun := time.Now()
	happens()
	t.Logf("took %s", time.Since(begun).Round(10*time.Millisecond))
	publishing.Wait()
	u.live.wantExactly(numbersOf(me, u.last))
}

func testHardening(t *testing.T, u *unitService) {
	status := u.run("cat /proc/$(systemctl show --property MainPID --value tidemark)/status")
	for _, want := range []string{`CapEff:\s+0+$`, `CapBnd:\s+0+$`, `NoNewPrivs:\s+1$`, `Seccomp:\s+2$`, `Uid:\s+[1-9]`} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(status) {
			t.Errorf("/proc/PID/status has no %q:\n%s", want, status)
		}
	}
	// Everything in the directory belongs to the service alone.
	if out := u.run("find /var/lib/private/tidemark -perm /077"); out != "" {
		t.Errorf("others can use\n%s", out)
	}
	if out := u.run("find /var/lib/private/tidemark ! -user tidemark"); out != "" {
		t.Errorf("the service does not own\n%s", out)
	}
	if user := u.run("stat -c %a /var/lib/private/tidemark"); user != "700" {
		t.Errorf("the mode of the state directory is %s", user)
	}
}

func testUnitReload(t *testing.T, u *unitService) {
	pid, lost := u.property("MainPID"), u.live.disconnects()
	u.during(t, func() {
		u.run("sed -i 's/^  level: info$/  level: debug/' /etc/tidemark/tidemark.yaml; grep -q 'level: debug' /etc/tidemark/tidemark.yaml; systemctl reload tidemark")
		eventually(t, "the new level", func() bool {
			return strings.Contains(u.run("curl -sS http://$TIDEMARK_ADMIN_ADDR/admin/log/level"), "debug")
		})
	})
	if now := u.property("MainPID"); now != pid {
		t.Errorf("the process was %s before the reload and is %s", pid, now)
	}
	if now := u.live.disconnects(); now != lost {
		t.Errorf("the client lost its connection upon a reload")
	}
}

func testUnitCrash(t *testing.T, u *unitService) {
	u.during(t, func() {
		u.run("systemctl kill --signal KILL tidemark")
		eventually(t, "a restart", func() bool { return u.property("NRestarts") == "1" })
		u.run("tidemark health --ready --wait 60s")
	})
}

func testUnitSecondProcess(t *testing.T, u *unitService) {
	for _, line := range []string{
		"tidemark serve --config /etc/tidemark/tidemark.yaml --http.addr 127.0.0.1:0 --admin.addr off --nats.embedded.addr 127.0.0.1:0",
		"tidemark stream backup /tmp/running --config /etc/tidemark/tidemark.yaml && tidemark stream restore /tmp/running --config /etc/tidemark/tidemark.yaml",
	} {
		out, err := u.try("cd /var/lib/tidemark; " + line)
		if err == nil || !strings.Contains(out, "another process stores its data in") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	u.during(t, func() {})
}

func testUnitUpgrade(t *testing.T, u *unitService) {
	if out := u.run("tidemark status"); !strings.Contains(out, "v1.0.0") {
		t.Fatalf("before the upgrade the status is\n%s", out)
	}
	u.install(stamped(t, "v1.1.0"))
	u.during(t, func() {
		if out := u.typeDocumented("upgrade"); !strings.Contains(out, "v1.1.0") {
			t.Errorf("after the upgrade the status is\n%s", out)
		}
	})
}

func testUnitStop(t *testing.T, u *unitService) {
	told := u.live.closeEvents()
	u.during(t, func() {
		u.run("systemctl stop tidemark")
		if result := u.property("Result") + " " + u.property("ExecMainStatus"); result != "success 0" {
			t.Errorf("it stopped with %s", result)
		}
		if u.live.closeEvents() == told {
			t.Error("the client was not sent tidemark.close")
		}
		u.run("systemctl start tidemark; tidemark health --ready --wait 60s")
	})
}

// testUnitRestore: events that were acknowledged before the backup exist after a restore, and the client receives
// a gap with the reason epoch.
func testUnitRestore(t *testing.T, u *unitService) {
	acked := int(u.p.stored.Load())
	u.during(t, func() { u.typeDocumented("backup") })
	duringBackup := u.last
	u.during(t, func() {}) // the restore loses these events
	had := len(u.live.numbers())
	u.typeDocumented("restore", "2026-11-21", "$(date +%F)")
	if out := u.run("find /var/lib/private/tidemark/data ! -user tidemark"); out != "" {
		t.Errorf("the service does not own\n%s", out)
	}
	first := u.last + 1
	u.last += 140
	u.p.publish(first, u.last)
	eventually(t, "the last event", func() bool { return slices.Contains(u.live.numbers(), u.last) })
	again := u.live.numbers()[had:]
	kept := slices.DeleteFunc(slices.Clone(again), func(n int) bool { return n >= first })
	newest := slices.Max(kept)
	if newest < slices.Max(numbersOf(me, acked)) || newest > duringBackup || !slices.Equal(kept, numbersOf(me, newest)) {
		t.Errorf("%d was acknowledged before the backup, %d after it; the restored stream has %v", acked, duringBackup, kept)
	}
	u.live.mu.Lock()
	defer u.live.mu.Unlock()
	if len(u.live.gaps) != 1 || u.live.gaps[0].Reason != "epoch" {
		t.Errorf("the client was sent the gaps %+v", u.live.gaps)
	}
}

// memoryRate is the published bytes per second. The store of the embedded NATS server keeps recently written and
// read data in memory, so that the need of a node grows with the rate.
const memoryRate = 8 << 20

// testUnitMemory: the memory limit that docs/operate/systemd.md names suffices for a stream that is larger than
// the limit.
func testUnitMemory(t *testing.T, u *unitService) {
	const limit = 256 << 20
	u.dropIn("memory", fmt.Sprint("MemoryMax=", limit))
	u.run("systemctl restart tidemark; tidemark health --ready --wait 60s")
	log := string(tail(u.log(), 16<<10))
	if !strings.Contains(log, fmt.Sprintf(`"group_bytes":%d`, limit)) {
		t.Skip("the memory of a service cannot be limited here")
	}
	if strings.Contains(log, "memory: limit is small") {
		t.Errorf("the log warns of a limit of %d", limit)
	}
	u.fillMemory(t, limit+limit/4)
}

// fillMemory publishes large events with one reader connected, and lets another replay all of them. The process
// must survive.
func (u *unitService) fillMemory(t *testing.T, bytes int) {
	t.Helper()
	const size = 64 << 10
	pid := u.property("MainPID")
	p := newProducerAt(t, "nats://"+u.natsAddr)
	user := fmt.Sprint("reader-", pid)
	read := func(name string) *follower { return follow(t, name, u.url("/events?from=all&user="+user), 0) }
	reader := read("reader")
	reader.awaitOpen(1)
	text := strings.Repeat("~", size)
	var want []int
	pace := time.NewTicker(time.Second * size / memoryRate)
	defer pace.Stop()
	for n := 1; n <= bytes/size; n++ {
		<-pace.C
		id := jetstream.WithMsgID(fmt.Sprint(user, "-", n)) // near the limit an acknowledgement may take longer than an attempt
		eventually(t, fmt.Sprint("event ", n, " is stored"), func() bool {
			_, err := p.js.Publish(t.Context(), "notifications.user."+user, fmt.Append(nil, 1_000_000+n, " ", text), id)
			return err == nil
		})
		want = append(want, 1_000_000+n)
	}
	for _, f := range []*follower{reader, read("reader of all that is stored")} {
		last := want[len(want)-1]
		eventually(t, "the last event for the "+f.name, func() bool { return slices.Contains(f.numbers(), last) })
		own := slices.DeleteFunc(f.numbers(), func(n int) bool { return n < 1_000_000 }) // the others are for all users
		if !slices.Equal(own, want) {
			t.Errorf("%s: %s", f.name, firstDifference(own, want))
		}
	}
	if now := u.property("MainPID"); now != pid {
		t.Errorf("the process was %s and is %s: it was ended and started again", pid, now)
	}
	t.Log(u.run("systemctl show --property MemoryCurrent tidemark"))
}

// disconnects returns how often the connection was lost.
func (f *follower) disconnects() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.losses
}
