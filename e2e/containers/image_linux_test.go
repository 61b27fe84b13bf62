package containers

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testkit"
)

// image runs the image alone. Its containers and volumes are removed at the end of the test.
type image struct {
	*project
	t *testing.T
}

func newImage(t *testing.T) image {
	p := newProject(t)
	p.buildImage("")
	return image{p, t}
}

// start runs a node in the background, as described in the header of the Dockerfile, with further flags.
func (i image) start(t *testing.T, flags ...string) (id string) {
	t.Helper()
	args := append([]string{"run", "-d", "--read-only", "-p", "127.0.0.1::8080", "-e", "TIDEMARK_AUTH_IDENTITY=anonymous"}, flags...)
	id = i.docker(append(args, "tidemark:local")...)
	t.Cleanup(func() { _, _ = i.run(time.Minute, "docker", "rm", "-f", id) })
	testkit.Eventually(t, recovery, "the node is ready", func() bool {
		if i.inspect(id).State.Status == "exited" {
			t.Fatalf("the node ended: %s", i.docker("logs", id))
		}
		_, err := i.run(10*time.Second, "docker", "exec", id, "tidemark", "health", "--ready")
		return err == nil
	})
	return id
}

func (i image) volume(t *testing.T) (name string) {
	t.Helper()
	name = fmt.Sprintf("%s-%d", i.name, time.Now().UnixNano())
	i.docker("volume", "create", name)
	t.Cleanup(func() { i.docker("volume", "rm", name) })
	return name
}

// refused runs a node that must not start, and returns its output.
func (i image) refused(t *testing.T, flags ...string) (output string) {
	t.Helper()
	args := append([]string{"run", "--rm", "--read-only", "-e", "TIDEMARK_AUTH_IDENTITY=anonymous"}, flags...)
	output, err := i.run(time.Minute, "docker", append(args, "tidemark:local")...)
	if err == nil {
		t.Errorf("the node started: %s", output)
	}
	return output
}

func TestImage(t *testing.T) {
	i := newImage(t)
	t.Run("a volume, events outlive the container", i.testVolume)
	t.Run("hints, work as typed", i.testHints)
	t.Run("drained by a hook, the stop waits for no second delay", i.testDrainThenStop)
	t.Run("a directory that belongs to root, the error names the owner to set", func(t *testing.T) {
		contains(t, i.refused(t, "-v", rootsDirectory(t)+":/data"), "nats.embedded.dir", "user 10001", "/data", "chown")
	})
	t.Run("another user without a directory of its own, the error names it", func(t *testing.T) {
		contains(t, i.refused(t, "--user", "1234:1234", "-v", i.volume(t)+":/data"), "nats.embedded.dir", "user 1234", "/data", "chown")
	})
	t.Run("nothing to write to, the error names a volume", func(t *testing.T) {
		contains(t, i.refused(t), "nats.embedded.dir", "/data is read-only", "volume")
	})
	t.Run("another user with a directory of its own, it serves", func(t *testing.T) {
		dir := rootsDirectory(t)
		if err := os.Chown(dir, 1234, 1234); err != nil {
			t.Skip("needs root: ", err)
		}
		i.serves(t, i.start(t, "--user", "1234:1234", "-v", dir+":/data"))
	})
	t.Run("little memory, it serves within it", func(t *testing.T) {
		id := i.start(t, "-v", i.volume(t)+":/data", "-m", "64m")
		i.serves(t, id)
		contains(t, i.docker("logs", id), "memory limit set from the control group")
	})
	t.Run("few files, connections beyond are refused and the node serves", func(t *testing.T) {
		i.testFewFiles(t)
	})
}

func rootsDirectory(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, to whom the directory is to belong")
	}
	return dir
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
}

// url returns the published address of a node.
func (i image) url(t *testing.T, id string) string {
	t.Helper()
	address, _, _ := strings.Cut(i.docker("port", id, "8080"), "\n")
	return "http://" + address
}

// serves checks that an event that is published in the container is received outside.
func (i image) serves(t *testing.T, id string) {
	t.Helper()
	i.docker("exec", id, "tidemark", "publish", "notifications.broadcast", "it serves")
	resp, err := http.Get(i.url(t, id) + "/events?from=all")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buffer := make([]byte, 64<<10)
	for seen := ""; !strings.Contains(seen, "data: it serves"); {
		n, err := resp.Body.Read(buffer)
		if seen += string(buffer[:n]); err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
	}
}

func (i image) testVolume(t *testing.T) {
	volume := i.volume(t)
	id := i.start(t, "-v", volume+":/data")
	i.serves(t, id)
	i.docker("stop", "-t", "60", id)
	if state := i.inspect(id).State; state.ExitCode != 0 {
		t.Errorf("docker stop: %+v", state)
	}
	i.docker("rm", id)
	again := i.start(t, "-v", volume+":/data")
	out := i.docker("exec", again, "tidemark", "subscribe", "http://127.0.0.1:8080/events", "--from", "all", "--count", "1")
	contains(t, out, "it serves")
}

var hint = regexp.MustCompile(`(?m)^  (listen|publish|operate)\s+(docker exec .*)$`)

// testHints runs the commands that a node prints, and stops `subscribe` after its first event.
func (i image) testHints(t *testing.T) {
	id := i.start(t, "-v", i.volume(t)+":/data")
	commands := map[string]string{}
	for _, found := range hint.FindAllStringSubmatch(i.docker("logs", id), -1) {
		commands[found[1]] = found[2]
	}
	for _, name := range []string{"publish", "operate", "listen"} {
		command := commands[name]
		if name == "listen" {
			command += " --from all --count 1"
		}
		out, err := i.run(time.Minute, "sh", "-c", command)
		if commands[name] == "" || err != nil {
			t.Errorf("%s: %q: %v\n%s", name, command, err, out)
		}
	}
}

// testDrainThenStop acts like a preStop hook and the kubelet.
func (i image) testDrainThenStop(t *testing.T) {
	id := i.start(t, "-v", i.volume(t)+":/data", "-e", "TIDEMARK_ADMIN_ADDR=:8081", "-e", "TIDEMARK_HTTP_DRAIN_DELAY=1s")
	resp, err := http.Get(i.url(t, id) + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	i.docker("exec", id, "tidemark", "drain", "--timeout", "45s")
	if all, err := io.ReadAll(resp.Body); !strings.Contains(string(all), `"reason":"drain"`) {
		t.Errorf("the client received %q, %v", all, err)
	}
	i.docker("stop", "-t", "60", id)
	if state := i.inspect(id).State; state.ExitCode != 0 {
		t.Errorf("docker stop: %+v", state)
	}
	contains(t, i.docker("logs", id), `"delay":"0s"`)
}

// testFewFiles opens more connections than the limit of open files allows.
func (i image) testFewFiles(t *testing.T) {
	id := i.start(t, "-v", i.volume(t)+":/data", "--ulimit", "nofile=128:128")
	url := i.url(t, id)
	var open []io.Closer
	defer func() {
		for _, body := range open {
			_ = body.Close()
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 5 * time.Second}}
	served, sentAway := 0, 0
	first := make([]byte, 4<<10)
	for range 150 {
		resp, err := client.Get(url + "/events")
		if err != nil {
			sentAway++
			continue
		}
		open = append(open, resp.Body)
		if n, _ := resp.Body.Read(first); strings.Contains(string(first[:n]), "tidemark.close") {
			sentAway++
		} else {
			served++
		}
	}
	if served == 0 || sentAway == 0 {
		t.Errorf("%d connections are served, %d were sent away", served, sentAway)
	}
	t.Logf("with 128 files %d of 150 connections are served, %d were sent away", served, sentAway)
	for _, body := range open {
		_ = body.Close()
	}
	testkit.Eventually(t, recovery, "the node serves again", func() bool {
		resp, err := client.Get(url + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	i.serves(t, id)
	if state := i.inspect(id); state.State.Status != "running" || state.RestartCount > 0 {
		t.Errorf("%+v", state)
	}
}
