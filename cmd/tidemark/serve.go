package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/internal/tracing"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/streams"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve feeds over HTTP, with an embedded NATS server unless nats.url is set",
		Example: `  tidemark serve --dev
  tidemark serve --config tidemark.yaml --http.addr :8080
  tidemark serve --nats.url nats://nats.example.com:4222 --nats.credentials tidemark.creds`,
		Args: arguments(cobra.NoArgs),
	}
	return configuredAs(config.Options{Serve: true}, cmd, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
		level, err := server.ParseLogLevel(cfg.Log.Level)
		if err != nil {
			return fmt.Errorf("log.level: %w", err)
		}
		logger, err := newLogger(cfg, level, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		logNATSSource(logger, cfg.NATS)
		collectRarely()
		boundMemory(logger, memlimit.FromCgroup)
		warnOfSecrets(cfg, logger)
		for _, warning := range cfg.Warnings() {
			logger.Warn("a setting has no effect", "error", warning)
		}
		checkBudgets(logger, cfg)
		h := &hangup{level: level, logger: logger, flags: cmd.Flags()}
		defer onHangup(func() { h.reload(cmd.Context()) })() // from now on: without it SIGHUP ends the process
		return serve(cmd.Context(), cfg, logger, h, cmd.OutOrStdout())
	})
}

// warnOfSecrets logs which files with secrets every user of the machine can read.
func warnOfSecrets(cfg config.Config, logger *slog.Logger) {
	warn := func(key, file string) {
		if err := config.CheckSecretFile(key, file); err != nil {
			logger.Warn("a secret is readable by others", "error", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.SecretFiles())) {
		warn(key, cfg.SecretFiles()[key])
	}
	if cfg.NATS.URL != "" || cfg.NATS.Embedded.Config == "" {
		return
	}
	for _, file := range natsd.SecretFiles(cfg.NATS.Embedded.Config) {
		warn("nats.embedded.config", file)
	}
}

func serve(ctx context.Context, cfg config.Config, logger *slog.Logger, h *hangup, stdout io.Writer) error {
	opts, err := serverOptions(cfg, logger)
	if err != nil {
		return err
	}
	opts.LogLevel = h.level
	srv, err := server.New(ctx, opts)
	if err != nil {
		return err
	}
	h.node.Store(srv)
	if err := srv.Hints(stdout); err != nil {
		logger.Warn("cannot print what to try", "error", err)
	}
	return srv.Run(ctx)
}

func serverOptions(cfg config.Config, logger *slog.Logger) (server.Options, error) {
	configs, err := definitions(cfg)
	if err != nil {
		return server.Options{}, err
	}
	proxies, err := cfg.HTTP.Proxies()
	if err != nil {
		return server.Options{}, err
	}
	feeds, err := feedOptions(cfg)
	if err != nil {
		return server.Options{}, err
	}
	adminAddr, optional := cfg.Admin.Listen()
	authentication, err := authOptions(cfg, logger)
	if err != nil {
		return server.Options{}, err
	}
	return server.Options{
		HTTP: server.HTTPOptions{
			Addr: cfg.HTTP.Addr, CertFile: cfg.HTTP.TLS.Cert, KeyFile: cfg.HTTP.TLS.Key,
			CORSOrigins: cfg.HTTP.CORS.Origins, CORSCredentials: cfg.HTTP.CORS.Credentials, CORSHeaders: cfg.HTTP.CORS.Headers,
			Hosts: cfg.HTTP.Hosts, BasePath: cfg.HTTP.BasePath,
			TrustedProxies: proxies, ShutdownTimeout: cfg.HTTP.ShutdownTimeout, DrainDelay: cfg.HTTP.DrainDelay.Duration(atTerminal()),
		},
		Admin: server.AdminOptions{Addr: adminAddr, Optional: optional},
		Dev:   cfg.Dev,
		Auth:  authentication,
		NATS:  natsOptions(cfg), Domain: cfg.NATS.Domain, APIPrefix: cfg.NATS.APIPrefix,
		Embedded: embeddedOptions(cfg),
		Streams:  configs, ApplyStreams: cfg.Streams.Apply,
		Feeds: feeds,
		SSE: server.SSEOptions{
			Retry: cfg.SSE.Retry, Heartbeat: cfg.SSE.Heartbeat, WriteTimeout: cfg.SSE.WriteTimeout,
			MaxAge: cfg.SSE.MaxAge, MaxIdle: cfg.SSE.MaxIdle, RetryLater: cfg.SSE.RetryLater,
			DrainPeriod: cfg.SSE.DrainPeriod,
		},
		Limits: limits(cfg.Limits), ReplayBytes: int(cfg.Limits.ReplayBytes), Sockets: server.SocketLimits(cfg.Sockets),
		Window: server.WindowOptions{Events: cfg.Window.Events, Bytes: int(cfg.Window.Bytes)},
		Publish: server.PublishOptions{
			Enabled: cfg.PublishEnabled(), KeysFile: cfg.Publish.Keys, ByToken: cfg.Auth.JWT.PublishClaim != "",
			LocalOnly:   cfg.Dev,
			AllSubjects: cfg.Publish.Subjects == config.PublishStream,
			MaxBytes:    int64(cfg.Publish.MaxBytes), MaxBatch: cfg.Publish.MaxBatch,
		},
		Console: cfg.ConsoleEnabled(), Docs: cfg.DocsEnabled(),
		Node: server.NodeOptions{Name: cfg.Node.Name, Version: version(), Micro: cfg.Node.Micro},
		Presence: server.PresenceOptions{
			Enabled: cfg.Presence.Enabled, Bucket: cfg.Presence.Bucket, TTL: cfg.Presence.TTL, Replicas: cfg.Presence.Replicas,
			Events: cfg.Presence.Events, ByToken: cfg.Auth.JWT.PresenceClaim != "",
		},
		Traces: traceOptions(cfg.Traces, os.Getenv, logger),
		Logger: logger,
	}, nil
}

// traceOptions takes the collector from OpenTelemetry's variables where traces.endpoint is empty.
// What they say that cannot be done leaves traces off: they may be meant for other programs.
func traceOptions(cfg config.Traces, getenv func(string) string, logger *slog.Logger) server.TraceOptions {
	opts := server.TraceOptions{Endpoint: cfg.Endpoint, Sample: float64(cfg.Sample), Rate: cfg.Rate}
	if opts.Endpoint != "" {
		return opts
	}
	env, err := tracing.FromEnvironment(getenv)
	if err != nil {
		logger.Warn("traces are off: a variable of OpenTelemetry cannot be used; correct it, or set traces.endpoint", "error", err)
		return opts
	}
	if env.Endpoint != "" {
		logger.Info("traces are sent to the endpoint of the environment", "variable", env.Variable, "endpoint", env.Endpoint)
	}
	opts.Endpoint = env.Endpoint
	return opts
}

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
			Logger:        logger.With("part", "auth"),
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
		opts.JWT.Leeway = -1 // none: zero is the default there
	}
	if cfg.Auth.TagKey != "" {
		key, err := os.ReadFile(cfg.Auth.TagKey)
		if err != nil {
			return opts, fmt.Errorf("auth.tag_key: %w", err)
		}
		if opts.TagKey = bytes.TrimSpace(key); len(opts.TagKey) < auth.MinTagKey {
			return opts, fmt.Errorf("auth.tag_key: %s has %d bytes, of at least %d; write a key into it, such as `head -c 32 /dev/urandom | base64`", cfg.Auth.TagKey, len(opts.TagKey), auth.MinTagKey)
		}
	}
	return opts, nil
}

func natsOptions(cfg config.Config) jetstore.ConnectOptions {
	return jetstore.ConnectOptions{
		URL: cfg.NATS.URL, Name: cfg.NATS.Name,
		CredsFile: cfg.NATS.Credentials, NkeyFile: cfg.NATS.NKey,
		User: cfg.NATS.User, Password: cfg.NATS.Password, Token: cfg.NATS.Token,
		InboxPrefix: cfg.NATS.InboxPrefix, TLSFirst: cfg.NATS.TLS.HandshakeFirst,
		CAFile: cfg.NATS.TLS.CA, CertFile: cfg.NATS.TLS.Cert, KeyFile: cfg.NATS.TLS.Key,
	}
}

// loadDefinitions returns the streams that come with Tidemark and those of streams.dir, with
// the replicas and the size that streams.replicas and streams.max_bytes say.
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
			Subjects: subjects, Allow: allow, ReplayFromLog: f.Replay == config.ReplayConsumer,
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
