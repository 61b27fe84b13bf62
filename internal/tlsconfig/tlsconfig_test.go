package tlsconfig_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/tlsconfig"
)

func open(t *testing.T, opts tlsconfig.Options) *tlsconfig.TLS {
	t.Helper()
	conf, err := tlsconfig.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// servers are the two users of a configuration: http.Server clones it, and tls.Server uses it as it is. Each answers a
// request, and returns its address.
var servers = map[string]func(t *testing.T, conf *tls.Config) string{
	"http.Server": func(t *testing.T, conf *tls.Config) string {
		srv := &http.Server{
			TLSConfig: conf, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		}
		l := listen(t)
		ended := make(chan error, 1)
		go func() { ended <- srv.ServeTLS(l, "", "") }()
		t.Cleanup(func() {
			srv.Close()
			if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		})
		return l.Addr().String()
	},
	"tls.Server": func(t *testing.T, conf *tls.Config) string {
		l := listen(t)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				answer(tls.Server(c, conf))
			}
		}()
		t.Cleanup(func() {
			l.Close()
			<-ended
		})
		return l.Addr().String()
	},
}

func answer(c *tls.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Read(make([]byte, 4096)); err == nil { // fails when the handshake does
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// request connects with a client's configuration, and sends a request. The answer comes after the session ticket of
// TLS 1.3.
func request(addr string, client *tls.Config) (state tls.ConnectionState, err error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", addr, client)
	if err != nil {
		return state, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return state, err
	}
	_, err = io.ReadAll(c)
	return c.ConnectionState(), err
}

// client returns a client that keeps one session, for servers with different addresses and certificates.
func client(version uint16) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", MinVersion: version, MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
}

func newKey(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(key)
}

func write(t *testing.T, file string, lines ...string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// keyFile writes ticket keys into a file.
func keyFile(t *testing.T, lines ...string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "ticket-keys"), lines...)
}

func TestConfig_Protocols_OldOnesAreRefused(t *testing.T) {
	cbc := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	}
	for name, start := range servers {
		for _, file := range []string{"", keyFile(t, newKey(t))} {
			addr := start(t, open(t, tlsconfig.Options{SelfSigned: true, TicketKeysFile: file}).Config())
			for _, c := range []struct {
				name     string
				min, max uint16
				suites   []uint16
				accepted bool
			}{
				{"TLS 1.0", tls.VersionTLS10, tls.VersionTLS10, nil, false},
				{"TLS 1.1", tls.VersionTLS11, tls.VersionTLS11, nil, false},
				{"TLS 1.2 with CBC alone", tls.VersionTLS12, tls.VersionTLS12, cbc, false},
				{"TLS 1.2 with ECDHE and GCM", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, true},
				{"TLS 1.2", tls.VersionTLS12, tls.VersionTLS12, nil, true},
				{"TLS 1.3", tls.VersionTLS13, tls.VersionTLS13, nil, true},
			} {
				conf := client(0)
				conf.MinVersion, conf.MaxVersion, conf.CipherSuites = c.min, c.max, c.suites
				if _, err := request(addr, conf); (err == nil) != c.accepted {
					t.Errorf("%s, ticket keys %q, %s: %v", name, file, c.name, err)
				}
			}
		}
	}
}

func TestConfig_ALPN_SelectsTheProtocol(t *testing.T) {
	for _, file := range []string{"", keyFile(t, newKey(t))} {
		addr := servers["tls.Server"](t, open(t, tlsconfig.Options{SelfSigned: true, TicketKeysFile: file}).Config())
		for want, offered := range map[string][]string{"h2": {"http/1.1", "h2"}, "http/1.1": {"http/1.1"}, "": nil} {
			conf := client(0)
			conf.NextProtos = offered
			if state, err := request(addr, conf); err != nil || state.NegotiatedProtocol != want {
				t.Errorf("offered %q, ticket keys %q: %q, %v", offered, file, state.NegotiatedProtocol, err)
			}
		}
	}
}

func TestTickets_SameFile_SessionsResumeAtTheOtherNode(t *testing.T) {
	shared := newKey(t)
	for name, start := range servers {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			node := func(lines ...string) string {
				opts := tlsconfig.Options{SelfSigned: true}
				if len(lines) > 0 {
					opts.TicketKeysFile = keyFile(t, lines...)
				}
				return start(t, open(t, opts).Config())
			}
			for _, c := range []struct {
				name  string
				a, b  string
				reuse bool
			}{
				{"the same key", node("# shared", "", shared), node(shared), true},
				{"a newer key first", node(shared), node(newKey(t), shared), true},
				{"different keys", node(shared), node(newKey(t)), false},
				{"without files", node(), node(), false},
			} {
				conf := client(version)
				for i, addr := range []string{c.a, c.b} {
					state, err := request(addr, conf)
					if want := i == 1 && c.reuse; err != nil || state.DidResume != want {
						t.Errorf("%s, %s, %s: resumed %t at node %d, %v", name, tls.VersionName(version), c.name, state.DidResume, i+1, err)
					}
				}
			}
		}
	}
}

func TestReload_TicketKeys_OldSessionsResumeWhileTheirKeyIsListed(t *testing.T) {
	for name, start := range servers {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			first, second := newKey(t), newKey(t)
			file := keyFile(t, first)
			node := open(t, tlsconfig.Options{SelfSigned: true, TicketKeysFile: file})
			addr := start(t, node.Config())
			var session tls.ClientSessionCache
			resumes := func() bool {
				conf := client(version)
				if session != nil {
					conf.ClientSessionCache = session
				}
				state, err := request(addr, conf)
				if err != nil {
					t.Error(name, err)
				}
				return state.DidResume
			}
			// A session of the first key, which later handshakes do not replace.
			conf := client(version)
			if _, err := request(addr, conf); err != nil {
				t.Fatal(name, err)
			}
			session = frozen{conf.ClientSessionCache}
			for _, step := range []struct {
				name   string
				lines  []string
				failed string // of the error
				reuse  bool
			}{
				{"the same key", []string{first}, "", true},
				{"a newer key first", []string{second, first}, "", true},
				{"a bad file", []string{second, "bad"}, "http.tls.ticket_keys: " + file + ": line 2 is not a key", true},
				{"the newer key alone", []string{second}, "", false},
			} {
				write(t, file, step.lines...)
				err := node.Reload()
				if (err == nil) != (step.failed == "") || err != nil && !strings.HasPrefix(err.Error(), step.failed) {
					t.Errorf("%s, %s: %v", name, step.name, err)
				}
				if got := resumes(); got != step.reuse {
					t.Errorf("%s, %s, %s: resumed %t", name, tls.VersionName(version), step.name, got)
				}
			}
		}
	}
}

// frozen is a session cache that keeps its sessions.
type frozen struct{ tls.ClientSessionCache }

func (frozen) Put(string, *tls.ClientSessionState) {}

func TestReload_BadCertificate_DoesNotPreventNewTicketKeys(t *testing.T) {
	dir := t.TempDir()
	cert, key := write(t, filepath.Join(dir, "cert.pem")), write(t, filepath.Join(dir, "key.pem"))
	if _, err := tlsconfig.Open(tlsconfig.Options{CertFile: cert, KeyFile: key}); err == nil || !strings.HasPrefix(err.Error(), "http.tls.cert, http.tls.key: ") {
		t.Fatalf("empty files: %v", err)
	}
	pair := open(t, tlsconfig.Options{SelfSigned: true}).Config()
	own, err := pair.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	shared := newKey(t)
	file := keyFile(t, newKey(t))
	node := open(t, tlsconfig.Options{CertFile: cert, KeyFile: key, TicketKeysFile: file})
	a, b := servers["http.Server"](t, open(t, tlsconfig.Options{SelfSigned: true, TicketKeysFile: keyFile(t, shared)}).Config()), servers["http.Server"](t, node.Config())
	write(t, key, "nonsense")
	write(t, file, shared)
	if err := node.Reload(); err == nil || !strings.HasPrefix(err.Error(), "http.tls.cert, http.tls.key: ") || strings.Contains(err.Error(), "ticket_keys") {
		t.Errorf("a bad key of the certificate: %v", err)
	}
	conf := client(tls.VersionTLS13)
	for i, addr := range []string{a, b} {
		if state, err := request(addr, conf); err != nil || state.DidResume != (i == 1) {
			t.Errorf("node %d: resumed %t, %v", i+1, state.DidResume, err)
		}
	}
}

func TestReadTicketKeys_BadFile_ErrorNamesTheRemedy(t *testing.T) {
	good := newKey(t)
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"empty":             {nil, "has no key; add a line with openssl rand -base64 32"},
		"comments alone":    {[]string{"# none", ""}, "has no key"},
		"a short key":       {[]string{good, "", base64.StdEncoding.EncodeToString(make([]byte, 31))}, "line 3 is not a key of 32 bytes"},
		"a long key":        {[]string{base64.StdEncoding.EncodeToString(make([]byte, 48))}, "line 1 is not a key of 32 bytes"},
		"hexadecimal":       {[]string{strings.Repeat("0f", 32)}, "line 1 is not a key of 32 bytes"},
		"a line of a MiB":   {[]string{strings.Repeat("A", 1<<20)}, "token too long"},
		"two keys in a row": {[]string{good + " " + good}, "line 1 is not a key of 32 bytes"},
	} {
		file := keyFile(t, c.lines...)
		_, err := tlsconfig.ReadTicketKeys(file)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), good) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tlsconfig.ReadTicketKeys(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
	if keys, err := tlsconfig.ReadTicketKeys(keyFile(t, "# newest first", " "+good+"\r", "", newKey(t))); err != nil || len(keys) != 2 {
		t.Errorf("a good file: %d keys, %v", len(keys), err)
	}
}

func TestReadTicketKeys_OthersCanRead_IsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such mode")
	}
	file := keyFile(t, newKey(t))
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o620: true} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := tlsconfig.ReadTicketKeys(file)
		if (err != nil) != refused {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if mode == 0o640 && (err == nil || !strings.Contains(err.Error(), "has mode 0640") || !strings.Contains(err.Error(), "chmod 600 "+file)) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestSelfSigned_Certificate_IsForThisMachineAndShortLived(t *testing.T) {
	node := open(t, tlsconfig.Options{SelfSigned: true})
	pair, err := node.Config().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(cert)
	for name, valid := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "127.0.0.2": false, "example.com": false} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: trusted, DNSName: name}); (err == nil) != valid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := time.Until(cert.NotAfter); left < 7*24*time.Hour || left > 31*24*time.Hour || cert.IsCA {
		t.Errorf("valid for %v, an authority: %t", left, cert.IsCA)
	}
	if err := node.Reload(); err != nil {
		t.Error(err)
	}
	other := open(t, tlsconfig.Options{SelfSigned: true})
	if got := node.Fingerprint(); len(got) != 64 || got == other.Fingerprint() {
		t.Errorf("the fingerprints of two certificates are %s and %s", got, other.Fingerprint())
	}
	if !slices.Equal(node.Config().NextProtos, []string{"h2", "http/1.1"}) {
		t.Error(node.Config().NextProtos)
	}
}
