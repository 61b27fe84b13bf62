package loadtest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc/PID/stat: USER_HZ, which is 100 on all Linux systems.
const clockTick = 10 * time.Millisecond

// usageMeter measures processes: the load generator's own, and servers. Without /proc it measures
// only servers, and fails for those.
type usageMeter struct{ self, servers []Usage }

// newUsageMeter reads the processes before the connections are opened. A PID that cannot be read is
// an error, because a missing value would be read as zero.
func newUsageMeter(self, servers []int) (m *usageMeter, err error) {
	m = &usageMeter{}
	if _, err := os.Stat(procFile(os.Getpid(), "stat")); err == nil {
		if m.self, err = readUsages(self); err != nil {
			return nil, err
		}
	}
	m.servers, err = readUsages(servers)
	return m, err
}

func readUsages(pids []int) (usages []Usage, err error) {
	for _, pid := range pids {
		name, err := os.ReadFile(procFile(pid, "comm"))
		if err != nil {
			return nil, fmt.Errorf("--pid %d: %w", pid, err)
		}
		usages = append(usages, Usage{PID: pid, Name: strings.TrimSpace(string(name)), RSSBefore: rss(pid), ConnectCPU: -cpu(pid)})
	}
	return usages, nil
}

func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }

func (m *usageMeter) each(do func(*Usage)) {
	for _, usages := range [][]Usage{m.self, m.servers} {
		for i := range usages {
			do(&usages[i])
		}
	}
}

// connected is called when the connections are open.
func (m *usageMeter) connected() {
	m.each(func(u *Usage) {
		now := cpu(u.PID)
		u.RSSIdle, u.ConnectCPU, u.CPU = rss(u.PID), u.ConnectCPU+now, -now
	})
}

// finish is called at the end of the measured phase.
func (m *usageMeter) finish() {
	m.each(func(u *Usage) { u.RSSAfter, u.CPU = rss(u.PID), u.CPU+cpu(u.PID) })
}

// results returns the usage of the load generator, the sum of its processes, and of each server.
func (m *usageMeter) results(conns, delivered int64) (self Usage, servers []Usage) {
	for _, u := range m.self {
		self.PID, self.Name = u.PID, u.Name // the last is this process
		self.CPU += u.CPU
		self.ConnectCPU += u.ConnectCPU
		self.RSSBefore += u.RSSBefore
		self.RSSIdle += u.RSSIdle
		self.RSSAfter += u.RSSAfter
	}
	self = self.per(conns, delivered)
	for _, u := range m.servers {
		servers = append(servers, u.per(conns, delivered))
	}
	return self, servers
}

// per fills in the quotients.
func (u Usage) per(conns, delivered int64) Usage {
	u.PerConn = (u.RSSIdle - u.RSSBefore) / conns
	u.CPUPerConnect = u.ConnectCPU / time.Duration(conns)
	u.CPUPerDelivery = u.CPU / time.Duration(max(delivered, 1))
	return u
}

// cpu returns user and system time of all threads.
func cpu(pid int) time.Duration {
	stat, _ := os.ReadFile(procFile(pid, "stat"))
	// The name in parentheses may have spaces and parentheses.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * clockTick
}

// rss returns the resident memory in bytes.
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
