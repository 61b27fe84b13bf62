package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// embedded is a service whose embedded NATS server is reachable from another network.
type embedded struct {
	*otherNetwork
	*service
	nats string // the address for producers of that network
}

// serveNATS starts the service with a configuration of users or of a nats-server file.
func serveNATS(t *testing.T, network *otherNetwork, yaml string, flags ...string) *embedded {
	t.Helper()
	_, port, _ := net.SplitHostPort(freeAddr(t))
	file := filepath.Join(t.TempDir(), "tidemark.yaml")
	write(t, file, yaml)
	e := &embedded{otherNetwork: network, nats: net.JoinHostPort(network.addr, port)}
	e.service = serve(t, append([]string{"--config", file, "--nats.embedded.addr", e.nats}, flags...)...)
	return e
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// publish runs `tidemark publish` in the other network, with a login in its environment.
func (e *embedded) publish(t *testing.T, subject, data string, env []string, flags ...string) (out string, err error) {
	t.Helper()
	line := slices.Concat(e.inside(), []string{command(t), "publish", subject, data, "--nats.url", "nats://" + e.nats}, flags)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(testcluster.Environment(), env...)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// hashed returns the output of `tidemark nats-password` for a password.
func hashed(t *testing.T, password string) string {
	t.Helper()
	cmd := exec.Command(command(t), "nats-password")
	cmd.Stdin = strings.NewReader(password)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func login(user, password string) []string {
	return []string{"NATS_USER=" + user, "NATS_PASSWORD=" + password}
}

// TestEmbeddedUsers_ProducersOfAnotherNetwork_ByPassword: only the right password stores an event, and only to
// subjects that the user may publish to.
func TestEmbeddedUsers_ProducersOfAnotherNetwork_ByPassword(t *testing.T) {
	t.Parallel()
	e := serveNATS(t, newOtherNetwork(t), fmt.Sprintf(`
nats:
  embedded:
    users:
      - {name: orders, password_hash: '%s', publish: [notifications.user.*]}
      - {name: ops, password_hash: '%s', publish: [">"], subscribe: [">"]}
`, hashed(t, "right"), hashed(t, "also right")))
	sub := subscribe(t, e.url("/events"))
	for i, c := range []struct {
		subject string
		env     []string
		want    string // part of the error; empty if the event is stored
	}{
		{"notifications.user.42", nil, "rejects the login"},
		{"notifications.user.42", login("orders", "wrong"), "rejects the login"},
		{"notifications.user.42", login("nobody", "right"), "rejects the login"},
		{"notifications.user.42", []string{"NATS_USER=right"}, "rejects the login"}, // a token
		{"notifications.broadcast", login("orders", "right"), "lacks a permission"},
		{"notifications.user.42", login("orders", "right"), ""},
		{"notifications.broadcast", login("ops", "also right"), ""},
	} {
		out, err := e.publish(t, c.subject, fmt.Sprint(i), c.env)
		if (err != nil) != (c.want != "") || !strings.Contains(out, c.want) {
			t.Errorf("%s with %q: %v, %s; want %q", c.subject, c.env, err, out, c.want)
		}
	}
	wantExactly(t, "the subscriber", []int{5, 6}, sub.numbers)
}

// TestEmbeddedConfig_ProducersOfAnotherNetwork_ByTLS: a producer and the embedded server verify each other's
// certificate.
func TestEmbeddedConfig_ProducersOfAnotherNetwork_ByTLS(t *testing.T) {
	t.Parallel()
	network := newOtherNetwork(t)
	cert, key := selfSignedFor(t, net.ParseIP(network.addr))
	conf := filepath.Join(t.TempDir(), "nats.conf")
	write(t, conf, fmt.Sprintf(`
tls { cert_file: %q, key_file: %q }
accounts {
  APP {
    jetstream: enabled
    users: [ {user: orders, password: %q, permissions: {publish: "notifications.>", subscribe: "_INBOX.>"}} ]
  }
  OTHER { users: [ {user: other, password: p} ] }
}
`, cert, key, hashed(t, "right")))
	e := serveNATS(t, network, "{}", "--nats.embedded.config", conf, "--nats.embedded.account=APP")
	sub := subscribe(t, e.url("/events"))
	ca := "--nats.tls.ca=" + cert
	for i, c := range []struct {
		env   []string
		flags []string
		want  string
	}{
		{login("orders", "right"), nil, "certificate"},
		{login("orders", "wrong"), []string{ca}, "rejects the login"},
		{login("other", "p"), []string{ca}, "JetStream not enabled"},
		{login("orders", "right"), []string{ca}, ""},
	} {
		out, err := e.publish(t, "notifications.broadcast", fmt.Sprint(i), c.env, c.flags...)
		if (err != nil) != (c.want != "") || !strings.Contains(out, c.want) {
			t.Errorf("%q %q: %v, %s; want %q", c.env, c.flags, err, out, c.want)
		}
	}
	wantExactly(t, "the subscriber", []int{3}, sub.numbers)
}

// TestEmbedded_WithoutLogin_StaysOnLoopback tries every way to expose the server by mistake.
func TestEmbedded_WithoutLogin_StaysOnLoopback(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := filepath.Join(dir, "nats.conf")
	for name, c := range map[string]struct {
		conf  string
		flags []string
	}{
		"no users":          {"", []string{"--nats.embedded.addr=0.0.0.0:0"}},
		"a file without":    {"server_name: a", []string{"--nats.embedded.addr=0.0.0.0:0"}},
		"a file that opens": {"listen: '0.0.0.0:4222'", nil},
		"leaf nodes":        {"listen: '127.0.0.1:-1', leafnodes { port: 7422 }", nil},
	} {
		flags := append([]string{"serve", "--dev", "--http.addr=127.0.0.1:0", "--admin.addr=off", "--nats.embedded.dir=" + filepath.Join(dir, "nats")}, c.flags...)
		if c.conf != "" {
			write(t, conf, c.conf)
			flags = append(flags, "--nats.embedded.config="+conf)
		}
		cmd := exec.Command(command(t), flags...)
		cmd.Env = testcluster.Environment()
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "nats.embedded.") || !strings.Contains(string(out), "--insecure") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
