package containers

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestChaos changes the containers at random for TIDEMARK_CHAOS_DURATION, such as 30m, while clients count.
func TestChaos(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("TIDEMARK_CHAOS_DURATION"))
	if err != nil {
		t.Skip("TIDEMARK_CHAOS_DURATION is not set; .ci/long sets it: ", err)
	}
	p := newProject(t)
	p.buildImage("")
	p.compose("up", "-d", "--no-build", "--wait")
	c := p.count(8)
	changes := []struct {
		name string
		run  func(t *testing.T, round int)
	}{
		{"node killed", func(t *testing.T, round int) { p.testKillNode(t, c, round) }},
		{"node dies", func(t *testing.T, _ int) { p.testNodeDies(t, c) }},
		{"NATS server killed", func(t *testing.T, round int) { p.testKillNATS(t, c, round) }},
		{"nginx restarted", func(t *testing.T, _ int) { p.testRestartNginx(t, c) }},
		{"scaled", func(t *testing.T, _ int) { p.testScale(t, c) }},
	}
	for round, end := 0, time.Now().Add(duration); time.Now().Before(end) && !t.Failed(); round++ {
		change := changes[rand.IntN(len(changes))]
		t.Run(change.name, func(t *testing.T) { change.run(t, round) })
	}
	c.check()
	t.Run("logs, nothing is noise", p.testLogs)
	t.Run("stopped, each exits with 0", p.testStop)
}
