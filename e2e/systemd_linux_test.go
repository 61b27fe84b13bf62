package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// systemdMachine is a systemd in namespaces of its own, as testdata/systemd.sh starts it, with the
// network of this machine.
type systemdMachine struct {
	t   *testing.T
	dir string   // the same on both sides
	env []string // of the commands that are typed
	pid int      // of systemd, here
}

// bootSystemd returns when systemd runs; the test is skipped where none can be started. It ends with the test.
func bootSystemd(t *testing.T) *systemdMachine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a systemd of its own needs root")
	}
	for _, needed := range []string{"/lib/systemd/systemd", "systemctl", "unshare", "nsenter", "useradd"} {
		if _, err := exec.LookPath(needed); err != nil {
			t.Skip(err)
		}
	}
	m := &systemdMachine{t: t, dir: t.TempDir()}
	m.writeTargets()
	script, err := filepath.Abs("testdata/systemd.sh")
	if err != nil {
		t.Fatal(err)
	}
	group := fmt.Sprint("tidemark-e2e-", os.Getpid())
	t.Cleanup(func() { m.removeGroups(group) })
	log := output(t, filepath.Join(m.dir, "systemd.log"))
	outer := start(t, exec.Command("unshare", "--pid", "--mount", "--ipc", "--uts", "--fork", "--kill-child", script, m.dir, group), log, log)
	eventually(t, "systemd runs or has failed", func() bool { return outer.ended() || m.find(outer.cmd.Process.Pid) && m.boots() })
	if outer.ended() {
		t.Skipf("systemd cannot be started here: %s", tail(log.Name(), 2000))
	}
	return m
}

// writeTargets writes the units that services with default dependencies need.
func (m *systemdMachine) writeTargets() {
	m.t.Helper()
	units := filepath.Join(m.dir, "units")
	if err := os.Mkdir(units, 0o700); err != nil {
		m.t.Fatal(err)
	}
	for _, name := range []string{"sysinit", "basic", "multi-user", "shutdown", "network-online"} {
		if err := os.WriteFile(filepath.Join(units, name+".target"), []byte("[Unit]\nDefaultDependencies=no\n"), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
}

// find looks for systemd among the children of unshare.
func (m *systemdMachine) find(outer int) bool {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", outer))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(children), " ")
	m.pid, err = strconv.Atoi(first)
	return err == nil
}

func (m *systemdMachine) boots() bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.pid))
	if err != nil || string(bytes.TrimSpace(name)) != "systemd" {
		return false
	}
	_, err = m.try("systemctl is-system-running")
	return err == nil
}

// try types commands into a shell of the machine, which ends at the first that fails.
func (m *systemdMachine) try(commands string) (string, error) {
	cmd := exec.Command("nsenter", "-t", fmt.Sprint(m.pid), "-m", "-p", "-C", "-i", "-u", "--", "/bin/sh", "-euc", commands)
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH=/etc/systemd/system", "LC_ALL=C"}, m.env...)
	out, err := cmd.CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}

func (m *systemdMachine) run(commands string) string {
	m.t.Helper()
	out, err := m.try(commands)
	if err != nil {
		m.t.Fatalf("%s\n%s\n%v", commands, out, err)
	}
	return out
}

// install puts a command into the directory where the documented commands are typed.
func (m *systemdMachine) install(from string) {
	m.t.Helper()
	to := filepath.Join(m.dir, "checkout")
	err := os.MkdirAll(to, 0o700)
	if err == nil {
		err = copyFile(from, filepath.Join(to, "tidemark"))
	}
	if err == nil {
		_ = os.RemoveAll(filepath.Join(to, "config"))
		err = os.CopyFS(filepath.Join(to, "config"), os.DirFS("../config")) // where the tests lie may be hidden from the machine
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	_ = os.Remove(to) // it may be running
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// typeDocumented types a block of docs/operate/systemd.md, with replacements as for strings.NewReplacer.
func (m *systemdMachine) typeDocumented(name string, replace ...string) string {
	m.t.Helper()
	page, err := os.ReadFile("../docs/operate/systemd.md")
	if err != nil {
		m.t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "<!-- not run: TestSystemd of e2e types it: "+name+" -->\n```sh\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !closed {
		m.t.Fatalf("docs/operate/systemd.md has no block %q", name)
	}
	return m.run("cd " + filepath.Join(m.dir, "checkout") + "\n" + strings.NewReplacer(replace...).Replace(block))
}

// removeGroups removes the control groups, when the namespaces are gone.
func (m *systemdMachine) removeGroups(name string) {
	script, err := filepath.Abs("testdata/systemd-remove.sh")
	if err != nil {
		m.t.Error(err)
		return
	}
	eventually(m.t, "the end of systemd", func() bool {
		_, err := os.Stat(fmt.Sprint("/proc/", m.pid))
		return m.pid == 0 || err != nil
	})
	if out, err := exec.Command("unshare", "--mount", script, name).CombinedOutput(); err != nil {
		m.t.Logf("control groups are left: %v %s", err, out)
	}
}
