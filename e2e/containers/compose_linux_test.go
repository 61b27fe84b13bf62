package containers

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testkit"
)

// TestCompose brings the topology up once, and changes it under clients that count.
func TestCompose(t *testing.T) {
	p := newProject(t)
	p.buildImage("")
	p.compose("up", "-d", "--no-build", "--wait")
	t.Run("up without --scale, three nodes run", func(t *testing.T) {
		if nodes := p.containers("tidemark"); len(nodes) != 3 {
			t.Errorf("nodes: %v", nodes)
		}
	})
	t.Run("published in a container, nginx delivers", p.testFirstMinutes)
	t.Run("position of one node, another resumes", p.testResume)
	rounds := 1
	if mode == "full" {
		rounds = 3 // as many as there are NATS servers and nodes
		t.Run("profiles, each runs", p.testProfiles)
	}
	c := p.count(8)
	for round := range rounds {
		t.Run("node killed, clients go to others", func(t *testing.T) { p.testKillNode(t, c, round) })
		t.Run("node dies, the engine starts it again", func(t *testing.T) { p.testNodeDies(t, c) })
		t.Run("NATS server killed, the others serve", func(t *testing.T) { p.testKillNATS(t, c, round+1) })
	}
	if mode == "full" {
		t.Run("scaled, clients stay served", func(t *testing.T) { p.testScale(t, c) })
	}
	t.Run("nginx restarted, clients reconnect", func(t *testing.T) { p.testRestartNginx(t, c) })
	t.Run("nodes replaced, clients go to new ones", func(t *testing.T) { p.testReplace(t, c) })
	c.check()
	t.Run("logs, nothing is noise", p.testLogs)
	t.Run("stopped, each exits with 0", p.testStop)
}

// testFirstMinutes is what the header of compose.yaml says.
func (p *project) testFirstMinutes(t *testing.T) {
	resp, err := http.Get(p.http + "/events?user=7&from=all")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p.compose("exec", "-T", "tidemark", "tidemark", "publish", "notifications.user.7", "first minutes")
	buffer := make([]byte, 64<<10)
	for seen := ""; !strings.Contains(seen, "data: first minutes"); {
		n, err := resp.Body.Read(buffer)
		if seen += string(buffer[:n]); err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
	}
}

// testResume takes a position from one node to each other one.
func (p *project) testResume(t *testing.T) {
	nodes := p.containers("tidemark")
	for _, data := range []string{"one", "two"} {
		p.docker("exec", nodes[0], "tidemark", "publish", "notifications.broadcast", data)
	}
	subscribe := func(node string, more ...string) (event struct{ ID, Data string }) {
		t.Helper()
		args := append([]string{"exec", node, "tidemark", "subscribe", "http://127.0.0.1:8080/events", "--json", "--count", "1"}, more...)
		for line := range strings.Lines(p.docker(args...)) {
			var printed struct{ Kind, ID, Data string }
			if err := json.Unmarshal([]byte(line), &printed); err == nil && printed.Kind == "event" {
				event.ID, event.Data = printed.ID, printed.Data
			}
		}
		return event
	}
	first := subscribe(nodes[0], "--from", "all")
	if first.Data != "one" || first.ID == "" {
		t.Fatalf("the first event is %+v", first)
	}
	for _, node := range nodes[1:] {
		if next := subscribe(node, "--last-event-id", first.ID); next.Data != "two" {
			t.Errorf("after %s another node has %+v", first.ID, next)
		}
	}
}

func (p *project) testKillNode(t *testing.T, c *counting, round int) {
	nodes := p.containers("tidemark")
	c.during(t, "docker kill of a node", func() { p.docker("kill", nodes[round%len(nodes)]) })
	p.compose("up", "-d", "--no-build", "--wait")
	if got := p.containers("tidemark"); len(got) != 3 {
		t.Errorf("nodes: %v", got)
	}
}

func (p *project) testNodeDies(t *testing.T, c *counting) {
	node := p.containers("tidemark")[1]
	c.during(t, "SIGKILL of a node's process", func() {
		if err := syscall.Kill(p.inspect(node).State.Pid, syscall.SIGKILL); err != nil {
			t.Skip("processes of containers cannot be killed from here: ", err)
		}
	})
	testkit.Eventually(t, recovery, "the node runs again", func() bool {
		n := p.inspect(node)
		return n.State.Status == "running" && n.RestartCount > 0
	})
}

func (p *project) testKillNATS(t *testing.T, c *counting, round int) {
	server := fmt.Sprint("nats-", round%3+1)
	c.during(t, "kill of "+server, func() { p.compose("kill", "-s", "KILL", server) })
	p.compose("up", "-d", "--no-build", "--wait")
}

// testProfiles runs what is not up by default, as far as there are images.
func (p *project) testProfiles(t *testing.T) {
	out := p.compose("--profile", "bench", "run", "--rm", "--no-deps", "bench", "load", "--url", "http://nginx:8080/events",
		"--publish", "nats://nats-1:4222", "--conns", "200", "--rate", "20", "--for", "5s")
	t.Log(out)
	p.compose("--profile", "websocket", "up", "-d", "--no-build", "websocket")
	address := p.compose("port", "websocket", "8090")
	testkit.Eventually(t, recovery, "NATS over WebSocket answers", func() bool {
		resp, err := http.Get("http://" + address) // no upgrade: 400
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusBadRequest
	})
	p.compose("--profile", "observability", "up", "-d", "--no-build", "prometheus")
	testkit.Eventually(t, recovery, "Prometheus scrapes three nodes", func() bool {
		out, err := p.run(time.Minute, "docker", "compose", "exec", "-T", "prometheus", "wget", "-q", "-O", "-",
			"http://127.0.0.1:9090/api/v1/query?query=sum(up{job=\"tidemark\"})")
		return err == nil && strings.Contains(out, `"3"`)
	})
}

func (p *project) testRestartNginx(t *testing.T, c *counting) {
	id := p.containers("nginx")[0]
	if mode != "1" {
		c.during(t, "kill and start of nginx", func() {
			p.docker("kill", id)
			p.compose("up", "-d", "--no-build", "--wait", "nginx")
		})
	}
	c.during(t, "stop and start of nginx", func() {
		p.compose("stop", "nginx")
		if code := p.inspect(id).State.ExitCode; code != 0 {
			t.Errorf("nginx exits with %d", code)
		}
		p.compose("up", "-d", "--no-build", "--wait", "nginx")
	})
}

func (p *project) testScale(t *testing.T, c *counting) {
	for _, nodes := range []string{"5", "2", "3"} {
		c.during(t, "scale to "+nodes, func() { p.compose("up", "-d", "--no-build", "--wait", "--scale", "tidemark="+nodes) })
	}
}

// testReplace runs the commands of docs/guides/scaling-out.md.
func (p *project) testReplace(t *testing.T, c *counting) {
	old := p.containers("tidemark")
	p.buildImage("next")
	c.during(t, "rolling replacement", func() {
		p.compose("up", "-d", "--no-build", "--no-recreate", "--wait", "--scale", "tidemark=6", "tidemark")
		beside := p.containers("tidemark")
		p.compose("up", "-d", "--no-build", "--wait", "--scale", "tidemark=3", "tidemark")
		left := p.containers("tidemark")
		for _, id := range left {
			if slices.Contains(old, id) || !slices.Contains(beside, id) {
				t.Errorf("of %v and then %v, %v are left", old, beside, left)
			}
		}
	})
}

// testLogs looks at what nodes and nginx wrote about kills, drains and restarts.
func (p *project) testLogs(t *testing.T) {
	for line := range strings.Lines(p.compose("logs", "--no-log-prefix", "--no-color", "tidemark")) {
		if !strings.HasPrefix(line, "{") {
			continue // the hints
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		for name, value := range fields {
			if value == nil || strings.Count(line, `"`+name+`":`) > 1 {
				t.Errorf("the field %s is empty or repeated: %s", name, line)
			}
		}
	}
	for line := range strings.Lines(p.compose("logs", "--no-log-prefix", "--no-color", "nginx")) {
		// That a node which was killed cannot be reached is an error, of health checks and publishers.
		ofConnection := strings.Contains(line, "[error]") && strings.Contains(line, "/events")
		if ofConnection || strings.Contains(line, "[crit]") || strings.Contains(line, "[emerg]") {
			t.Errorf("nginx: %s", line)
		}
	}
}

// testStop holds that SIGTERM is enough, within stop_grace_period.
func (p *project) testStop(t *testing.T) {
	ids := append(p.containers("tidemark"), p.containers("nginx")...)
	resp, err := http.Get(p.http + "/events?user=7") // a client that stays
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	begun := time.Now()
	p.compose("stop")
	t.Logf("docker compose stop took %s", time.Since(begun).Round(100*time.Millisecond))
	for _, id := range ids {
		if state := p.inspect(id).State; state.ExitCode != 0 || state.Status != "exited" || state.OOMKilled {
			t.Errorf("%s: %+v", id, state)
		}
	}
	_, _ = io.Copy(io.Discard, resp.Body)
}
