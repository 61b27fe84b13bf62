package loadgen

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc/PID/stat: USER_HZ, which is 100 on every Linux there is.
const clockTick = 10 * time.Millisecond

// meter follows what processes take. Without /proc it tells nothing.
type meter struct{ usages []Usage }

// newMeter looks at the processes before the connections are opened. A PID that cannot be
// read is an error, as a figure that is silently missing would be taken for zero.
func newMeter(pids []int) (*meter, error) {
	m := &meter{}
	for _, pid := range pids {
		name, err := os.ReadFile(procFile(pid, "comm"))
		if err != nil {
			return nil, fmt.Errorf("--pid %d: %w", pid, err)
		}
		m.usages = append(m.usages, Usage{PID: pid, Name: strings.TrimSpace(string(name)), RSSBefore: rss(pid)})
	}
	return m, nil
}

func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }

// idle is called once the connections stand.
func (m *meter) idle(conns int) {
	for i := range m.usages {
		u := &m.usages[i]
		u.RSSIdle = rss(u.PID)
		u.PerConn = (u.RSSIdle - u.RSSBefore) / int64(max(conns, 1))
		u.CPU = -cpu(u.PID)
	}
}

// end is called at the end of the measured phase.
func (m *meter) end(delivered int) []Usage {
	for i := range m.usages {
		u := &m.usages[i]
		u.CPU += cpu(u.PID)
		u.CPUPerDelivery = u.CPU / time.Duration(max(delivered, 1))
		u.RSSAfter = rss(u.PID)
	}
	return m.usages
}

// cpu is user and system time of all threads.
func cpu(pid int) time.Duration {
	stat, _ := os.ReadFile(procFile(pid, "stat"))
	// The name in parentheses may hold anything, spaces and parentheses too.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * clockTick
}

// rss is the resident memory in bytes.
func rss(pid int) int64 {
	status, _ := os.ReadFile(procFile(pid, "status"))
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}
