package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/memlimit"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/internal/tlsconfig"
	"github.com/tidemark/tidemark/internal/tracing"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/streams"
)

// serverOptions returns the options of a configuration. A section with the same fields as its options is
// converted, so that the compiler finds a missing field. TestServerOptions_EveryKey_ReachesThem checks the
// others.
func serverOptions(cfg config.Config, logger *slog.Logger) (server.Options, error) {
	defs, err := definitions(cfg)
	if err != nil {
		return server.Options{}, err
	}
	http, err := httpOptions(cfg)
	if err != nil {
		return server.Options{}, err
	}
	feeds, err := feedOptions(cfg)
	if err != nil {
		return server.Options{}, err
	}
	authentication, err := authOptions(cfg, logger)
	if err != nil {
		return server.Options{}, err
	}
	adminAddr, optional := cfg.Admin.Listen()
	return server.Options{
		HTTP:  http,
		Admin: server.AdminOptions{Addr: adminAddr, Optional: optional},
		Dev:   cfg.Dev,
		Auth:  authentication,
		NATS:  natsOptions(cfg), Domain: cfg.NATS.Domain, APIPrefix: cfg.NATS.APIPrefix,
		Embedded: embeddedOptions(cfg),
		Streams:  defs, ApplyStreams: cfg.Streams.Apply,
		Feeds:  feeds,
		SSE:    server.SSEOptions(cfg.SSE),
		Limits: feedhttp.Limits(cfg.Limits.AdmissionLimits), Sockets: server.SocketLimits(cfg.Limits.Sockets),
		ReplayBytes: int(cfg.Limits.ReplayBytes),
		Window:      server.WindowOptions{Events: cfg.Window.Events, Bytes: int(cfg.Window.Bytes)},
		Publish:     publishOptions(cfg),
		Console:     cfg.ConsoleEnabled(), Docs: cfg.DocsEnabled(),
		Node: server.NodeOptions{Name: cfg.Node.Name, Version: version(), Micro: cfg.Node.Micro},
		Presence: server.PresenceOptions{
			Enabled: cfg.Presence.Enabled, Bucket: cfg.Presence.Bucket, TTL: cfg.Presence.TTL, Replicas: cfg.Presence.Replicas,
			Events: cfg.Presence.Events, ByToken: cfg.Auth.JWT.PresenceClaim != "",
		},
		Traces: traceOptions(cfg.Traces, os.Getenv, logger),
		Logger: logger,
	}, nil
}

func httpOptions(cfg config.Config) (server.HTTPOptions, error) {
	h := cfg.HTTP
	proxies, err := h.Proxies()
	if err != nil {
		return server.HTTPOptions{}, fmt.Errorf("http.trusted_proxies: %w", err)
	}
	return server.HTTPOptions{
		Addr: h.Addr, EngineOff: h.Engine == config.EngineOff,
		TLS:         tlsconfig.Options{CertFile: h.TLS.Cert, KeyFile: h.TLS.Key, SelfSigned: h.TLS.SelfSigned, TicketKeysFile: h.TLS.TicketKeys},
		CORSOrigins: h.CORS.Origins, CORSCredentials: h.CORS.Credentials, CORSHeaders: h.CORS.Headers,
		Hosts: h.Hosts, BasePath: h.BasePath, TrustedProxies: proxies,
		ShutdownTimeout: h.ShutdownTimeout, DrainDelay: h.DrainDelay.Duration(!cfg.Dev && !atTerminal()),
	}, nil
}

func publishOptions(cfg config.Config) server.PublishOptions {
	return server.PublishOptions{
		Enabled: cfg.PublishEnabled(), KeysFile: cfg.Publish.Keys, ByToken: cfg.Auth.JWT.PublishClaim != "",
		LocalOnly:   cfg.Dev,
		AllSubjects: cfg.Publish.Subjects == config.PublishStream,
		MaxBytes:    int64(cfg.Publish.MaxBytes), MaxBatch: cfg.Publish.MaxBatch, IdleTimeout: cfg.Publish.IdleTimeout,
	}
}

func embeddedOptions(cfg config.Config) natsd.Options {
	e := cfg.NATS.Embedded
	return natsd.Options{
		Addr: e.Addr, Dir: e.Dir, SyncInterval: time.Duration(e.Sync),
		ConfigFile: e.Config, Users: embeddedUsers(cfg), Account: e.Account, Insecure: cfg.Insecure,
	}
}

func embeddedUsers(cfg config.Config) []natsd.User {
	users := make([]natsd.User, len(cfg.NATS.Embedded.Users))
	for i, u := range cfg.NATS.Embedded.Users {
		users[i] = natsd.User(u)
	}
	return users
}

// traceOptions uses the variables of OpenTelemetry where traces.endpoint is empty. Values that cannot be used
// leave traces off, because they may be meant for other programs.
func traceOptions(cfg config.Traces, getenv func(string) string, logger *slog.Logger) server.TraceOptions {
	opts := server.TraceOptions{Endpoint: cfg.Endpoint, Sample: float64(cfg.Sample), Rate: cfg.Rate}
	if opts.Endpoint != "" {
		return opts
	}
	env, err := tracing.FromEnvironment(getenv)
	if err != nil {
		logger.Warn("tracing: a variable of OpenTelemetry cannot be used; traces are off", "error", err)
		return opts
	}
	if env.Endpoint != "" {
		logger.Info("tracing: the endpoint comes from the environment", "variable", env.Variable, "endpoint", env.Endpoint)
	}
	opts.Endpoint = env.Endpoint
	return opts
}

// authOptions reads the file of auth.tag_key.
func authOptions(cfg config.Config, logger *slog.Logger) (server.AuthOptions, error) {
	j, h := cfg.Auth.JWT, cfg.Auth.Header
	gateways, err := h.Gateways()
	if err != nil {
		return server.AuthOptions{}, fmt.Errorf("auth.header.trusted: %w", err)
	}
	opts := server.AuthOptions{
		Identity: cfg.Auth.Identity,
		JWT: auth.JWTOptions{
			SecretFile: j.SecretFile, PublicKeyFile: j.PublicKeyFile, JWKSFile: j.JWKSFile, JWKSURL: j.JWKSURL,
			Algorithms: j.Algorithms, Issuer: j.Issuer, Audience: j.Audience, Leeway: j.Leeway, MaxLifetime: j.MaxLifetime,
			Cookie: j.Cookie, Query: j.Query, Claims: config.Pairs(j.Claims),
			WidenClaim: j.WidenClaim, NarrowClaim: j.NarrowClaim, PublishClaim: j.PublishClaim,
			PresenceClaim: j.PresenceClaim,
			Logger:        logger.With("component", "auth"),
		},
		Header: auth.HeaderOptions{
			User: h.User, Vars: config.Pairs(h.Vars), Expires: h.Expires,
			PercentEncoded: h.Encoding == config.EncodingPercent, Trusted: gateways,
		},
	}
	if slices.Contains(j.Audience, "*") {
		opts.JWT.Audience, opts.JWT.AnyAudience = nil, true
	}
	if j.Leeway == 0 {
		opts.JWT.Leeway = -1 // zero is the default of the option
	}
	if cfg.Auth.TagKey != "" {
		key, err := os.ReadFile(cfg.Auth.TagKey)
		if err != nil {
			return opts, fmt.Errorf("auth.tag_key: %w", err)
		}
		if opts.TagKey = bytes.TrimSpace(key); len(opts.TagKey) < auth.MinTagKey {
			return opts, fmt.Errorf("auth.tag_key: %s has %d bytes and requires at least %d; write a key into it, such as `head -c 32 /dev/urandom | base64`", cfg.Auth.TagKey, len(opts.TagKey), auth.MinTagKey)
		}
	}
	return opts, nil
}

func natsOptions(cfg config.Config) natsconn.Options {
	return natsconn.Options{
		URL: cfg.NATS.URL, Name: cfg.NATS.Name,
		CredsFile: cfg.NATS.Credentials, NkeyFile: cfg.NATS.NKey,
		User: cfg.NATS.User, Password: cfg.NATS.Password, Token: cfg.NATS.Token,
		InboxPrefix: cfg.NATS.InboxPrefix, TLSFirst: cfg.NATS.TLS.HandshakeFirst,
		CAFile: cfg.NATS.TLS.CA, CertFile: cfg.NATS.TLS.Cert, KeyFile: cfg.NATS.TLS.Key,
	}
}

// loadDefinitions returns the built-in streams and those of streams.dir, with the copies of streams.replicas
// and the size of streams.max_bytes.
func loadDefinitions(cfg config.Config) ([]streams.Definition, error) {
	defs, err := streams.Builtin()
	if err != nil {
		return nil, err
	}
	if cfg.Streams.Dir != "" {
		own, err := streams.LoadDir(cfg.Streams.Dir)
		if err != nil {
			return nil, fmt.Errorf("streams.dir: %w", err)
		}
		defs = streams.Merge(defs, own)
	}
	if cfg.Streams.Replicas > 0 {
		for i := range defs {
			defs[i].Config.Replicas = cfg.Streams.Replicas
		}
	}
	if cfg.Streams.MaxBytes > 0 {
		for i := range defs {
			defs[i].Config.MaxBytes = int64(cfg.Streams.MaxBytes)
		}
	}
	return defs, nil
}

func definitions(cfg config.Config) ([]jetstream.StreamConfig, error) {
	defs, err := loadDefinitions(cfg)
	if err != nil {
		return nil, err
	}
	configs := make([]jetstream.StreamConfig, len(defs))
	for i, def := range defs {
		configs[i] = def.Config
	}
	return configs, nil
}

func feedOptions(cfg config.Config) ([]server.FeedOptions, error) {
	var feeds []server.FeedOptions
	for name, f := range cfg.Feeds {
		subjects, err := templates(name, "subjects", f.Subjects)
		if err != nil {
			return nil, err
		}
		allow, err := templates(name, "allow", f.Allow)
		if err != nil {
			return nil, err
		}
		feeds = append(feeds, server.FeedOptions{
			Name: name, Paths: f.Paths, Stream: f.Stream,
			Subjects: subjects, Allow: allow, ReplayFromStore: f.Replay == config.ReplayConsumer,
		})
	}
	return feeds, nil
}

func templates(feedName, key string, texts []string) ([]subject.Template, error) {
	parsed := make([]subject.Template, len(texts))
	for i, text := range texts {
		t, err := subject.ParseTemplate(text)
		if err != nil {
			return nil, fmt.Errorf("feeds.%s.%s: %w", feedName, key, err)
		}
		parsed[i] = t
	}
	return parsed, nil
}

// memoryBudget counts the window of a stream once, however many feeds it has.
func memoryBudget(cfg config.Config) memlimit.Budget {
	streams := make(map[string]bool)
	for _, f := range cfg.Feeds {
		streams[f.Stream] = true
	}
	return memlimit.Budget{
		Windows: int64(len(streams)) * int64(cfg.Window.Bytes), Replays: int64(cfg.Limits.ReplayBytes),
		Embedded: cfg.NATS.URL == "",
	}
}
