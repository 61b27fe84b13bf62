package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsconn"
)

// connectTimeout limits the connect to one server.
const connectTimeout = 4 * time.Second

// checkServers connects to each configured server, and returns the first connection. The caller closes it.
func (d *doctor) checkServers(ctx context.Context) (*nats.Conn, []Finding) {
	c := &check{name: "nats"}
	if !d.Usable {
		return nil, nil
	}
	urls := d.NATS.URL
	if urls == "" {
		urls = d.Embedded.URL
		if !d.node.running {
			c.skip("the embedded server runs within `tidemark serve`; start it to check its streams")
			return nil, c.found
		}
		if urls == "" {
			c.skip("%v", cmp.Or(d.Embedded.Err, errNoAddress))
			return nil, c.found
		}
	}
	tried := d.connectAll(ctx, strings.Split(urls, ","))
	var first *nats.Conn
	for _, t := range tried {
		c.found = append(c.found, t.check.found...)
		switch {
		case first == nil:
			first = t.nc
		case t.nc != nil:
			t.nc.Close()
		}
	}
	if first != nil {
		d.checkPayload(c, first)
	}
	return first, c.found
}

// attempt is the result of a connect to one server's URL.
type attempt struct {
	check *check
	nc    *nats.Conn // nil if the connect failed
}

func (d *doctor) connectAll(ctx context.Context, urls []string) []attempt {
	tried := make([]attempt, len(urls))
	var all sync.WaitGroup
	for i, text := range urls {
		tried[i].check = &check{name: "nats"}
		all.Go(func() { tried[i].nc = d.connectOne(ctx, tried[i].check, strings.TrimSpace(text)) })
	}
	all.Wait()
	return tried
}

func (d *doctor) connectOne(ctx context.Context, c *check, server string) *nats.Conn {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	shown := natsconn.WithoutLogin(server)
	if err := dial(ctx, server); err != nil {
		c.problem("nats.url (or nats.embedded.addr), or check that the server runs and that no firewall blocks it", "cannot connect to %s: %v", shown, err)
		return nil
	}
	opts := d.NATS
	if d.embedded() {
		opts = d.Embedded.NATS
	}
	opts.URL, opts.Once, opts.Name = server, true, "tidemark-doctor"
	begun := time.Now()
	nc, err := natsconn.Connect(ctx, opts)
	switch {
	case err != nil && d.embedded():
		d.refusedByEmbedded(c, shown, err)
		return nil
	case err != nil:
		c.problem(connectAdvice(err), "%s does not accept this node: %v", shown, err)
		return nil
	}
	cluster := ""
	if name := nc.ConnectedClusterName(); name != "" {
		cluster = " of the cluster " + name
	}
	c.ok("%s is %s%s, version %s, connected in %s", shown, nc.ConnectedServerName(), cluster, nc.ConnectedServerVersion(), time.Since(begun).Round(time.Millisecond))
	return nc
}

// dial returns the reason of a failed connect. nats.go reports only that no server was reached.
func dial(ctx context.Context, server string) error {
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return errors.New("the URL cannot be read") // the error may contain a password
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	}
	if port == "" {
		port = "4222"
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// connectAdvice returns the configuration keys for the reason of a rejected connection.
func connectAdvice(err error) string {
	text := strings.ToLower(err.Error())
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case authority || has("unknown authority"):
		return "nats.tls.ca: name the file with the authority of the server's certificate"
	case host || has("certificate is valid for", "doesn't contain any ip sans", "not valid for any names"):
		return "nats.url: use a host name of the server's certificate"
	case invalid || has("certificate has expired"):
		return "renew the server's certificate, and compare the clocks"
	case has("certificate required", "bad certificate", "closed by remote after tls handshake"): // with TLS 1.3 the rejection arrives after the handshake
		return "nats.tls.cert and nats.tls.key: the server requires a client certificate that it trusts"
	case has("first record does not look like a tls handshake"):
		return "nats.tls.handshake_first: the server does not start with TLS"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "nats.url: the server has no TLS; use nats:// in place of tls://, and drop nats.tls"
	case refusesLogin(err):
		return "nats.credentials, nats.nkey, nats.user with nats.password, or nats.token: the server refuses the login"
	case has("maximum connections", "maximum account"):
		return "raise max_connections of the account or server: each node has three connections"
	case errors.Is(err, fileMissing(err)):
		return "the files of nats.credentials, nats.nkey and nats.tls must be readable for this user"
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded), has("timeout"):
		return "nats.tls.handshake_first where the server starts with TLS; else whether a NATS server listens there"
	}
	return "nats.url and the other keys of nats"
}

// fileMissing returns the error about a file in err, or a general error.
func fileMissing(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path
	}
	return errors.New("no file")
}

func (d *doctor) checkPayload(c *check, nc *nats.Conn) {
	largest := int64(d.Config.Publish.MaxBytes)
	if nc.MaxPayload() < largest && d.Config.PublishEnabled() {
		c.warn(fmt.Sprintf("publish.max_bytes: at most %d, or raise max_payload of the NATS server", nc.MaxPayload()),
			"the server accepts messages of at most %d bytes, but publish.max_bytes is %d", nc.MaxPayload(), largest)
	}
}
