package config

import (
	"net/netip"
	"slices"
	"testing"
)

func TestValidate_AuthBeyondLoopback_RequiresIdentities(t *testing.T) {
	const outside = ":8080"
	jwt := func(c *Config) { c.Auth.Identity, c.Auth.JWT.PublicKeyFile = []string{"jwt"}, "k.pem" }
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string // of the message; empty for fine
	}{
		"outside, no source":          {func(c *Config) { c.HTTP.Addr = outside }, "auth.identity: "},
		"a name, no source":           {func(c *Config) { c.HTTP.Addr = "example.com:80" }, "auth.identity: "},
		"outside, insecure":           {func(c *Config) { c.HTTP.Addr, c.Insecure = outside, true }, ""},
		"outside, by token":           {func(c *Config) { c.HTTP.Addr = outside; jwt(c) }, ""},
		"outside, anonymous":          {func(c *Config) { c.HTTP.Addr, c.Auth.Identity = outside, []string{"anonymous"} }, ""},
		"the source dev alone":        {func(c *Config) { c.Auth.Identity = []string{"dev"} }, "auth.identity: the source dev "},
		"the source dev":              {func(c *Config) { c.Auth.Identity, c.Dev = []string{"dev"}, true }, ""},
		"a store for all":             {func(c *Config) { c.NATS.Embedded.Addr = ":4222" }, "nats.embedded.addr: "},
		"a store for a network":       {func(c *Config) { c.NATS.Embedded.Addr = "10.0.0.1:4222" }, "nats.embedded.addr: "},
		"a store for IPv6":            {func(c *Config) { c.NATS.Embedded.Addr = "[2001:db8::1]:4222" }, "nats.embedded.addr: "},
		"a store on IPv6 loopback":    {func(c *Config) { c.NATS.Embedded.Addr = "[::1]:4222" }, ""},
		"a store at localhost":        {func(c *Config) { c.NATS.Embedded.Addr = "localhost:4222" }, ""},
		"a store, insecure":           {func(c *Config) { c.NATS.Embedded.Addr, c.Insecure = ":4222", true }, ""},
		"no store of its own":         {func(c *Config) { c.NATS.Embedded.Addr, c.NATS.URL = ":4222", "nats://n:4222" }, ""},
		"dev":                         {func(c *Config) { c.Dev = true }, ""},
		"outside, dev":                {func(c *Config) { c.HTTP.Addr, c.Auth.Identity, c.Dev = outside, []string{"anonymous"}, true }, "dev: "},
		"outside, dev and insecure":   {func(c *Config) { c.HTTP.Addr, c.Dev, c.Insecure = outside, true, true }, "dev: "},
		"loopback, anybody publishes": {func(c *Config) { c.Publish.Enabled = On }, "publish.enabled: "},
		"dev publishes":               {func(c *Config) { c.Publish.Enabled, c.Dev = On, true }, ""},
		"insecure publishes":          {func(c *Config) { c.Publish.Enabled, c.Insecure = On, true }, ""},
		"IPv6 loopback":               {func(c *Config) { c.HTTP.Addr = "[::1]:8080" }, ""},
		"localhost":                   {func(c *Config) { c.HTTP.Addr = "localhost:8080" }, ""},
		"unknown source":              {func(c *Config) { c.Auth.Identity = []string{"oauth"} }, "auth.identity: "},
		"behind anonymous":            {func(c *Config) { c.Auth.Identity, c.Dev = []string{"anonymous", "dev"}, true }, "auth.identity: anonymous "},
		"token without keys":          {func(c *Config) { c.Auth.Identity = []string{"jwt"} }, "auth.jwt: 0 "},
		"keys at two places":          {func(c *Config) { jwt(c); c.Auth.JWT.JWKSURL = "https://a" }, "auth.jwt: 2 "},
		"keys for nothing":            {func(c *Config) { c.Auth.JWT.JWKSFile = "k" }, "auth.identity: "},
		"claim without variable":      {func(c *Config) { c.Auth.JWT.Claims = []string{"sub"} }, "auth.jwt.claims: "},
		"header without gateways":     {func(c *Config) { c.Auth.Identity = []string{"header"} }, "auth.header.trusted: "},
		"header": {func(c *Config) {
			c.Auth.Identity, c.Auth.Header.Trusted = []string{"header"}, []string{"10.0.0.0/8", "::1"}
		}, ""},
		"header from a proxy that is no gateway": {func(c *Config) {
			c.Auth.Identity, c.HTTP.TrustedProxies = []string{"header"}, []string{"10.0.0.0/8"}
		}, "auth.header.trusted: "},
		"gateway by name":      {func(c *Config) { c.Auth.Header.Trusted = []string{"gateway"} }, "auth.header.trusted: "},
		"gateway of no width":  {func(c *Config) { c.Auth.Header.Trusted = []string{"10.0.0.0/33"} }, "auth.header.trusted: "},
		"unknown encoding":     {func(c *Config) { c.Auth.Header.Encoding = "base64" }, "auth.header.encoding: "},
		"percent":              {func(c *Config) { c.Auth.Header.Encoding = EncodingPercent }, ""},
		"expires":              {func(c *Config) { c.Auth.Header.Expires = "X-User-Expires" }, ""},
		"expires is no header": {func(c *Config) { c.Auth.Header.Expires = "X User" }, "auth.header.expires: "},
		"expires with a colon": {func(c *Config) { c.Auth.Header.Expires = "X-User-Expires:" }, "auth.header.expires: "},
		"user is no header":    {func(c *Config) { c.Auth.Header.User = "Benutzer-ü" }, "auth.header.user: "},
		"variable's header":    {func(c *Config) { c.Auth.Header.Vars = []string{"city=X City"} }, "auth.header.vars: "},
		"expires is the user":  {func(c *Config) { c.Auth.Header.Expires = "x-user" }, "auth.header.expires: "},
		"expires is a variable": {func(c *Config) {
			c.Auth.Header.Vars, c.Auth.Header.Expires = []string{"city=X-City"}, "X-City"
		}, "auth.header.expires: "},
		"no address":        {func(c *Config) { c.HTTP.TrustedProxies = []string{"gateway"} }, "http.trusted_proxies: "},
		"anybody publishes": {func(c *Config) { c.HTTP.Addr = outside; jwt(c); c.Publish.Enabled = On }, "publish.enabled: "},
		"keys publish":      {func(c *Config) { c.HTTP.Addr = outside; jwt(c); c.Publish.Enabled, c.Publish.Keys = On, "k" }, ""},
		"tokens publish":    {func(c *Config) { c.HTTP.Addr = outside; jwt(c); c.Publish.Enabled, c.Auth.JWT.PublishClaim = On, "p" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			tt.change(&cfg)
			expect(t, cfg.Validate(), tt.want)
		})
	}
}

func TestPublishEnabled_Auto_DependsOnIdentities(t *testing.T) {
	for _, tt := range []struct {
		addr, keys string
		enabled    Switch
		want       bool
	}{
		{"127.0.0.1:1", "", Auto, false}, {"127.0.0.1:1", "k", Auto, true}, {":1", "", Auto, false}, {":1", "k", Auto, true},
		{"127.0.0.1:1", "", Off, false}, {":1", "", On, true},
	} {
		cfg := Default()
		cfg.HTTP.Addr, cfg.Publish.Keys, cfg.Publish.Enabled = tt.addr, tt.keys, tt.enabled
		if got := cfg.PublishEnabled(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	cfg := Default()
	if cfg.Dev = true; !cfg.PublishEnabled() {
		t.Error("not with dev")
	}
}

func TestConsoleEnabled_Auto_DependsOnAddress(t *testing.T) {
	for _, tt := range []struct {
		addr    string
		enabled Switch
		want    bool
	}{
		{"127.0.0.1:1", Auto, true}, {"[::1]:1", Auto, true}, {":1", Auto, false},
		{"127.0.0.1:1", Off, false}, {":1", On, true},
	} {
		cfg := Default()
		cfg.HTTP.Addr, cfg.Console.Enabled = tt.addr, tt.enabled
		if got := cfg.ConsoleEnabled(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestProxies_AddressesAndCIDRs_ArePrefixes(t *testing.T) {
	got, err := HTTP{TrustedProxies: []string{"10.1.2.3/8", "192.0.2.1", "::ffff:192.0.2.2", "2001:db8::/32"}}.Proxies()
	want := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"),
		netip.MustParsePrefix("192.0.2.2/32"), netip.MustParsePrefix("2001:db8::/32"),
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
