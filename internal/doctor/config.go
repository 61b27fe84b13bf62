package doctor

import (
	"context"
	"crypto/tls"
	"maps"
	"slices"
	"time"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/tlsconfig"
	"github.com/tidemark/tidemark/pkg/auth"
)

// checkConfig reports every problem of the configuration and its files.
func (d *doctor) checkConfig(ctx context.Context) []Finding {
	c := &check{name: "configuration"}
	for _, err := range split(d.ConfigErr) {
		c.problem("", "%v", err)
	}
	if !d.Usable {
		c.skip("other checks require a configuration that can be read")
		return c.found
	}
	d.checkSecrets(c)
	d.checkCertificate(c, time.Now())
	d.checkTicketKeys(c)
	d.checkKeys(ctx, c)
	if d.Config.Dev && d.URL != "" {
		c.problem("dev", "with dev, a proxy on this machine that adds no header lets every client name any user, and publish; use dev for development only")
	}
	if d.Config.Insecure {
		c.warn("insecure", "every client that can reach http.addr may connect without an identity")
	}
	if c.fine() {
		c.ok("the configuration and its files are valid")
	}
	return c.found
}

// split returns the errors of errors.Join, including nested ones.
func split(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) // a wrapped list counts as one message
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, split(err)...)
	}
	return all
}

func (d *doctor) checkSecrets(c *check) {
	files := d.Config.SecretFiles()
	for _, key := range slices.Sorted(maps.Keys(files)) {
		if err := config.CheckSecretFile(key, files[key]); err != nil {
			c.warn("", "%v", err)
		}
	}
}

// certificateDays is the number of days before the end of a certificate from which a warning is reported.
const certificateDays = 14

func (d *doctor) checkCertificate(c *check, now time.Time) {
	files := d.Config.HTTP.TLS
	if files.Cert == "" || files.Key == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		c.problem("http.tls.cert and http.tls.key", "the certificate cannot be used: %v", err)
		return
	}
	end := pair.Leaf.NotAfter
	switch left := end.Sub(now); {
	case left <= 0:
		c.problem("renew http.tls.cert, and send SIGHUP to the node", "the certificate expired at %s", end.UTC().Format(time.RFC3339))
	case left < certificateDays*24*time.Hour:
		c.warn("renew http.tls.cert, and send SIGHUP to the node", "the certificate expires at %s", end.UTC().Format(time.RFC3339))
	}
}

func (d *doctor) checkTicketKeys(c *check) {
	file := d.Config.HTTP.TLS.TicketKeys
	if file == "" {
		return
	}
	if _, err := tlsconfig.ReadTicketKeys(file); err != nil {
		c.problem("http.tls.ticket_keys", "the keys of session tickets cannot be used: %v", err)
	}
}

// keysTimeout limits the request for the issuer's keys.
const keysTimeout = 5 * time.Second

func (d *doctor) checkKeys(ctx context.Context, c *check) {
	if file := d.Config.Publish.Keys; file != "" {
		if _, err := auth.OpenAPIKeys(file); err != nil {
			c.problem("publish.keys", "the API keys cannot be read: %v", err)
		}
	}
	if d.JWT == nil {
		return
	}
	tokens, err := auth.JWT(*d.JWT)
	if err != nil {
		c.problem("auth.jwt", "tokens cannot be verified: %v", err)
		return
	}
	defer tokens.Close()
	if d.JWT.JWKSURL == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	if err := tokens.Refresh(ctx); err != nil {
		c.problem("auth.jwt.jwks_url", "the keys of tokens cannot be fetched: %v", err)
	}
}
