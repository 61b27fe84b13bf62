package loadtest

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

// meter follows what processes take: the stand's own, and the servers. Without /proc it tells
// nothing of the stand.
type usageMeter struct{ self, servers []Usage }

// newMeter looks at the processes before the connections are opened. A PID that cannot be
// read is an error, as a figure that is silently missing would be taken for zero.
func newUsageMeter(stand, servers []int) (m *usageMeter, err error) {
	m = &usageMeter{}
	if _, err := os.Stat(procFile(os.Getpid(), "stat")); err == nil {
		if m.self, err = readUsages(stand); err != nil {
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

func (m *usageMeter) each(look func(*Usage)) {
	for _, usages := range [][]Usage{m.self, m.servers} {
		for i := range usages {
			look(&usages[i])
		}
	}
}

// idle is called once the connections stand.
func (m *usageMeter) connected() {
	m.each(func(u *Usage) {
		now := cpu(u.PID)
		u.RSSIdle, u.ConnectCPU, u.CPU = rss(u.PID), u.ConnectCPU+now, -now
	})
}

// end is called at the end of the measured phase.
func (m *usageMeter) end() {
	m.each(func(u *Usage) { u.RSSAfter, u.CPU = rss(u.PID), u.CPU+cpu(u.PID) })
}

// usages tells what the stand took, all its processes together, and each server.
func (m *usageMeter) usages(conns, delivered int64) (self Usage, servers []Usage) {
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

// per is u with what was taken divided.
func (u Usage) per(conns, delivered int64) Usage {
	u.PerConn = (u.RSSIdle - u.RSSBefore) / conns
	u.CPUPerConnect = u.ConnectCPU / time.Duration(conns)
	u.CPUPerDelivery = u.CPU / time.Duration(max(delivered, 1))
	return u
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
