package loadtest

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// usageMeter measures processes: the load generator's own, and servers. Without /proc it measures
// only servers, and fails for those.
type usageMeter struct{ self, servers []Usage }

// newUsageMeter reads the processes before the connections are opened. A PID that cannot be read is
// an error, because a missing value would be read as zero.
func newUsageMeter(self, servers []int) (m *usageMeter, err error) {
	m = &usageMeter{}
	if _, err := procfs.Self(); err == nil {
		if m.self, err = readUsages(self); err != nil {
			return nil, err
		}
	}
	m.servers, err = readUsages(servers)
	return m, err
}

func readUsages(pids []int) (usages []Usage, err error) {
	for _, pid := range pids {
		stat, err := readStat(pid)
		if err != nil {
			return nil, fmt.Errorf("--pid %d: %w", pid, err)
		}
		usages = append(usages, Usage{PID: pid, Name: stat.Comm, RSSBefore: int64(stat.ResidentMemory()), ConnectCPU: -cpu(stat)})
	}
	return usages, nil
}

func readStat(pid int) (procfs.ProcStat, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return procfs.ProcStat{}, err
	}
	return p.Stat()
}

// cpu returns user and system time of all threads.
func cpu(stat procfs.ProcStat) time.Duration {
	return time.Duration(stat.CPUTime() * float64(time.Second))
}

// each updates the usage of each process. An ended process counts as zero.
func (m *usageMeter) each(update func(u *Usage, rss int64, cpuTime time.Duration)) {
	for _, usages := range [][]Usage{m.self, m.servers} {
		for i := range usages {
			stat, _ := readStat(usages[i].PID)
			update(&usages[i], int64(stat.ResidentMemory()), cpu(stat))
		}
	}
}

// connected is called when the connections are open.
func (m *usageMeter) connected() {
	m.each(func(u *Usage, rss int64, now time.Duration) {
		u.RSSIdle, u.ConnectCPU, u.CPU = rss, u.ConnectCPU+now, -now
	})
}

// reconnecting is called when the clients of a storm begin to reconnect, and caughtUp when the last one has caught up.
func (m *usageMeter) reconnecting() {
	m.each(func(u *Usage, _ int64, now time.Duration) { u.ReconnectCPU = -now })
}

func (m *usageMeter) caughtUp() {
	m.each(func(u *Usage, _ int64, now time.Duration) { u.ReconnectCPU += now })
}

// finish is called at the end of the measured phase.
func (m *usageMeter) finish() {
	m.each(func(u *Usage, rss int64, now time.Duration) { u.RSSAfter, u.CPU = rss, u.CPU+now })
}

// results returns the usage of the load generator, the sum of its processes, and of each server.
func (m *usageMeter) results(conns, delivered int64) (self Usage, servers []Usage) {
	for _, u := range m.self {
		self.PID, self.Name = u.PID, u.Name // the last is this process
		self.CPU += u.CPU
		self.ConnectCPU += u.ConnectCPU
		self.ReconnectCPU += u.ReconnectCPU
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
	u.CPUPerReconnect = u.ReconnectCPU / time.Duration(conns)
	u.CPUPerDelivery = u.CPU / time.Duration(max(delivered, 1))
	return u
}
