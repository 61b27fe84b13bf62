package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
)

// fetcher fetches the keys of a URL. Its errors contain neither the URL nor the response.
type fetcher func(context.Context) ([]key, error)

const maxRedirects = 3

func checkURL(raw string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("the JWKS URL cannot be parsed; begin it with https:// and a host")
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http" && (allowHTTP || isLocal(u.Hostname())):
		return u, nil
	case u.Scheme == "http":
		return nil, errors.New("the JWKS URL is without TLS, so that an attacker on the network can replace the keys; use https, or allow plain HTTP")
	}
	return nil, errors.New("the JWKS URL must be https")
}

func isLocal(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func newFetcher(u *url.URL, opts JWKSOptions) fetcher {
	client := http.Client{}
	if opts.Client != nil {
		client = *opts.Client
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = checkRedirect
	}
	if client.Transport == nil {
		client.Transport = newTransport()
	}
	return func(ctx context.Context) ([]key, error) {
		text, err := get(ctx, &client, u, opts.MaxBytes)
		if err != nil {
			return nil, err
		}
		keys, err := parseSet(text)
		if err != nil {
			return nil, err
		}
		// A published secret is not secret.
		keys = slices.DeleteFunc(keys, func(k key) bool { _, secret := k.public.([]byte); return secret })
		if len(keys) == 0 {
			return nil, errors.New("the JWK Set contains only secrets (oct), which are not accepted from a URL; publish public keys")
		}
		return keys, nil
	}
}

// newTransport disables keep-alive, because the next fetch is minutes away.
func newTransport() http.RoundTripper {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if standard, ok := http.DefaultTransport.(*http.Transport); ok {
		t = standard.Clone()
	}
	t.DisableKeepAlives = true
	t.MaxResponseHeaderBytes = 64 << 10
	return t
}

func checkRedirect(next *http.Request, before []*http.Request) error {
	switch {
	case len(before) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case before[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return errors.New("a redirect away from TLS")
	}
	return nil
}

func get(ctx context.Context, client *http.Client, u *url.URL, maxBytes int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the JWKS URL cannot be requested")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := client.Do(req)
	if err != nil {
		// The outer error contains the URL, which may contain a secret.
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered with status %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > maxBytes {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxBytes)
	}
	return text, nil
}
