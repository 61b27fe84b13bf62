//go:build unix

package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTLS_OtherPrograms_AreServedOrRefused connects with openssl and curl, whose TLS is not that of Go. It runs with and
// without the engine, which must not differ.
func TestTLS_OtherPrograms_AreServedOrRefused(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"openssl", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " was not found in PATH")
		}
	}
	for _, engine := range []string{"auto", "off"} {
		t.Run("engine="+engine, func(t *testing.T) {
			shared := ticketKeys(t, newTicketKey(t))
			a := serve(t, "--http.engine="+engine, "--http.tls.self_signed", "--http.tls.ticket_keys="+shared)
			t.Run("protocols", func(t *testing.T) { testTLSProtocols(t, a) })
			t.Run("ALPN", func(t *testing.T) { testTLSALPN(t, a) })
			t.Run("curl", func(t *testing.T) { testTLSCurl(t, a) })
			t.Run("key update", func(t *testing.T) { testTLSKeyUpdate(t, a) })
			t.Run("renegotiation", func(t *testing.T) { testTLSRenegotiation(t, a) })
			t.Run("tickets", func(t *testing.T) {
				b := serve(t, "--http.engine="+engine, "--http.tls.self_signed", "--http.tls.ticket_keys="+shared)
				testTLSTickets(t, a, b, shared)
			})
			t.Run("renewal", func(t *testing.T) { testTLSRenewal(t, "--http.engine="+engine) })
		})
	}
}

// sClient is a running `openssl s_client`. Its input stays open, because it ends with its input.
type sClient struct {
	*process
	input  io.WriteCloser
	output string // file of stdout and stderr
}

func newSClient(t *testing.T, s *service, flags ...string) *sClient {
	t.Helper()
	cmd := exec.Command("openssl", append([]string{"s_client", "-connect", s.httpAddr, "-servername", "localhost"}, flags...)...)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "s_client.log")
	out := output(t, file)
	return &sClient{process: start(t, cmd, out, out), input: input, output: file}
}

func (c *sClient) text() string {
	c.t.Helper()
	text, err := os.ReadFile(c.output)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// send writes text, or one of the commands of s_client at the beginning of a line, such as K. It reads a command only
// if that is the first byte of a read, so that callers wait for an effect of each send.
func (c *sClient) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.input, text); err != nil {
		c.t.Fatalf("openssl s_client reads no more: %v", err)
	}
}

// await blocks until the output has a text n times.
func (c *sClient) await(n int, text string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d times %q from openssl s_client", n, text), func() bool {
		if strings.Count(c.text(), text) >= n {
			return true
		}
		if c.ended() && strings.Count(c.text(), text) < n {
			c.t.Fatalf("openssl s_client has ended without %q", text)
		}
		return false
	})
}

const (
	getEvents = "GET /events?user=42 HTTP/1.1\r\nHost: localhost\r\n\r\n"
	getHealth = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
)

// event publishes an event for user 42.
func event(t *testing.T, s *service, text string) {
	t.Helper()
	resp, err := direct.Post(s.url("/publish/notifications.user.42"), "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("publish: %s %s", resp.Status, answer)
	}
}

func newTicketKey(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(key)
}

func ticketKeys(t *testing.T, keys ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ticket-keys")
	replace(t, file, strings.Join(keys, "\n"))
	return file
}

func replace(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// testTLSProtocols expects the alert of the server, so that a refusal by openssl itself fails the test.
func testTLSProtocols(t *testing.T, s *service) {
	const weak = "@SECLEVEL=0" // else openssl does not offer old protocols
	for name, c := range map[string]struct {
		flags []string
		want  string
	}{
		"TLS 1.0":                    {[]string{"-tls1", "-cipher", "ALL" + weak}, "alert protocol version"},
		"TLS 1.1":                    {[]string{"-tls1_1", "-cipher", "ALL" + weak}, "alert protocol version"},
		"TLS 1.2 with CBC alone":     {[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES128-SHA:AES128-SHA" + weak}, "alert handshake failure"},
		"TLS 1.2 with RSA exchange":  {[]string{"-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-GCM-SHA384" + weak}, "alert handshake failure"},
		"TLS 1.2 with ECDHE and GCM": {[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, "HTTP/1.1 200 OK"},
		"TLS 1.2 with ChaCha20":      {[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"}, "HTTP/1.1 200 OK"},
		"TLS 1.3":                    {[]string{"-tls1_3"}, "HTTP/1.1 200 OK"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newSClient(t, s, c.flags...)
			_, _ = io.WriteString(client.input, getHealth) // fails if the handshake has
			client.await(1, c.want)
			client.wait()
		})
	}
}

func testTLSALPN(t *testing.T, s *service) {
	for offered, want := range map[string]string{"h2,http/1.1": "ALPN protocol: h2", "http/1.1": "ALPN protocol: http/1.1", "spdy/3": "alert no application protocol"} {
		newSClient(t, s, "-alpn", offered).await(1, want)
	}
	without := newSClient(t, s)
	without.send(getHealth)
	without.await(1, "HTTP/1.1 200 OK")
	without.await(1, "No ALPN negotiated")
}

// testTLSCurl receives an event by each protocol.
func testTLSCurl(t *testing.T, s *service) {
	for flag, status := range map[string]string{"--http1.1": "HTTP/1.1 200", "--http2": "HTTP/2 200"} {
		t.Run(flag, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "curl.log")
			out := output(t, file)
			start(t, exec.Command("curl", "-kiNsS", flag, s.url("/events?user=42")), out, out)
			await := func(text string) {
				t.Helper()
				eventually(t, text+" from curl", func() bool {
					got, err := os.ReadFile(file)
					return err == nil && strings.Contains(string(got), text)
				})
			}
			await(status)
			await("event: tidemark.open")
			event(t, s, "for curl "+flag)
			await("data: for curl " + flag)
		})
	}
}

// testTLSKeyUpdate changes the client's keys while events arrive. With K the client requests new keys of the server as
// well, which must answer with a KeyUpdate of its own.
func testTLSKeyUpdate(t *testing.T, s *service) {
	c := newSClient(t, s, "-tls1_3", "-msg")
	c.send(getEvents)
	c.await(1, "event: tidemark.open")
	const sent, received = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate", "<<< TLS 1.3, Handshake [length 0005], KeyUpdate"
	requested := 0
	for i, command := range []string{"K", "k", "K", "K", "k"} {
		c.send(command + "\n")
		c.await(i+1, "KEYUPDATE\n")
		text := fmt.Sprintf("after key update %d", i+1)
		event(t, s, text)
		c.await(1, "data: "+text)
		c.await(i+1, sent)
		if command == "K" {
			requested++
			c.await(requested, received)
		}
	}
	event(t, s, "the last one")
	c.await(1, "data: the last one")
	if n := strings.Count(c.text(), received); n != requested {
		t.Errorf("the server has sent %d KeyUpdate, want %d", n, requested)
	}
}

// testTLSRenegotiation checks that the server ends a connection that renegotiates, and serves others.
func testTLSRenegotiation(t *testing.T, s *service) {
	other := newSClient(t, s, "-tls1_2")
	other.send(getEvents)
	other.await(1, "event: tidemark.open")
	c := newSClient(t, s, "-tls1_2", "-msg")
	c.send(getEvents)
	c.await(1, "event: tidemark.open")
	c.send("R\n")
	c.await(1, "RENEGOTIATING")
	c.wait()
	if text := c.text(); strings.Count(text, "<<< TLS 1.2, Handshake") == 0 || strings.Count(text, "ServerHello\n") != 1 {
		t.Errorf("the output has %d ServerHello, want 1", strings.Count(text, "ServerHello\n"))
	}
	event(t, s, "after a renegotiation")
	other.await(1, "data: after a renegotiation")
}

// testTLSTickets resumes sessions of a at b, and again after the keys of both are replaced by SIGHUP.
func testTLSTickets(t *testing.T, a, b *service, keys string) {
	sessions := map[string]string{"-tls1_2": filepath.Join(t.TempDir(), "session"), "-tls1_3": filepath.Join(t.TempDir(), "session")}
	connect := func(s *service, flags ...string) string {
		t.Helper()
		c := newSClient(t, s, flags...)
		c.send(getHealth)
		c.await(1, "HTTP/1.1 200 OK")
		c.wait()
		return c.text()
	}
	resumes := func(s *service, version string) bool {
		t.Helper()
		text := connect(s, version, "-sess_in", sessions[version])
		reused := strings.Contains(text, "\nReused, ")
		if reused == strings.Contains(text, "\nNew, ") {
			t.Errorf("openssl reports neither or both of Reused and New")
		}
		return reused
	}
	reload := func(s *service, effect func() bool) {
		t.Helper()
		s.signal(syscall.SIGHUP)
		eventually(t, "the new ticket keys", effect)
	}
	before, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	for version, file := range sessions {
		connect(a, version, "-sess_out", file)
		for name, s := range map[string]*service{"a": a, "b": b} {
			if !resumes(s, version) {
				t.Errorf("%s: the session of node a is not resumed at node %s", version, name)
			}
		}
	}
	newer := newTicketKey(t)
	replace(t, keys, newer+"\n"+string(before))
	a.reloadFiles()
	b.reloadFiles()
	for version := range sessions {
		if !resumes(b, version) {
			t.Errorf("%s: a session of the previous key is not resumed", version)
		}
	}
	replace(t, keys, newer)
	for version := range sessions {
		reload(b, func() bool { return !resumes(b, version) })
		connect(a, version, "-sess_out", sessions[version]) // with the newer key, which a has as its first
		if !resumes(b, version) {
			t.Errorf("%s: a session of the newer key is not resumed", version)
		}
	}
}

// reloadFiles sends SIGHUP, and waits until the log has another report of its success.
func (s *service) reloadFiles() {
	s.t.Helper()
	const done = "reload: files read again"
	count := func() int {
		text, err := os.ReadFile(s.log.Name())
		if err != nil {
			s.t.Fatal(err)
		}
		return strings.Count(string(text), done)
	}
	before := count()
	s.signal(syscall.SIGHUP)
	eventually(s.t, done, func() bool { return count() > before })
}

// testTLSRenewal replaces a certificate while a client is connected.
func testTLSRenewal(t *testing.T, flags ...string) {
	cert, key := selfSigned(t)
	s := serve(t, append(flags, "--http.tls.cert="+cert, "--http.tls.key="+key)...)
	served := func() string {
		t.Helper()
		c := newSClient(t, s)
		c.send(getHealth)
		c.await(1, "HTTP/1.1 200 OK")
		_, after, _ := strings.Cut(c.text(), "-----BEGIN CERTIFICATE-----\n")
		certificate, _, ended := strings.Cut(after, "-----END CERTIFICATE-----")
		if !ended {
			t.Fatal("openssl printed no certificate")
		}
		return certificate
	}
	open := newSClient(t, s)
	open.send(getEvents)
	open.await(1, "event: tidemark.open")
	first := served()
	renewed, renewedKey := selfSigned(t)
	for from, to := range map[string]string{renewed: cert, renewedKey: key} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, to, string(text))
	}
	s.reloadFiles()
	text, err := os.ReadFile(renewed)
	if err != nil {
		t.Fatal(err)
	}
	if now := served(); now == first || !strings.Contains(string(text), now) {
		t.Error("a new connection does not receive the renewed certificate")
	}
	event(t, s, "after the renewal")
	open.await(1, "data: after the renewal")
}
