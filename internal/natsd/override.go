package natsd

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// override applies the options and the requirements of an embedded server.
func (o Options) override(so *resolved) error {
	if err := o.setAddr(so.Options); err != nil {
		return err
	}
	if o.ServerName != "" {
		so.ServerName = o.ServerName
	}
	if so.ServerName == "" {
		so.ServerName = "tidemark"
	}
	if o.MaxPayload != 0 {
		so.MaxPayload = o.MaxPayload
	}
	so.DontListen = false
	so.JetStream, so.StoreDir = true, o.Dir
	so.SyncAlways, so.SyncInterval = o.SyncInterval == 0, o.SyncInterval
	so.NoSigs, so.DisableJetStreamBanner = true, true
	// With one of these, a reload would replace the logger.
	so.LogFile, so.Syslog, so.RemoteSyslog = "", false, ""
	so.Debug, so.Trace, so.TraceVerbose, so.TraceHeaders = false, false, false, false
	if so.JetStreamLimits.DefaultMaxConsumers == 0 {
		// By default, servers since 2.15 reject the 1001st consumer of a stream. Tidemark limits the
		// number of its consumers itself.
		so.JetStreamLimits.DefaultMaxConsumers = -1
	}
	return nil
}

// overridden maps directives of the file to the configuration key that overrides them.
var overridden = map[string]string{
	"listen": keyAddr, "host": keyAddr, "net": keyAddr, "port": keyAddr,
	"store_dir": keyDir, "storedir": keyDir, "jetstream.store_dir": keyDir, "jetstream.storedir": keyDir, "jetstream.store": keyDir,
	"jetstream.sync_interval": keySync, "jetstream.sync": keySync,
	"jetstream": keyStreams, "jetstream.enabled": keyStreams, "jetstream.enable": keyStreams,
	"logfile": keyLog, "log_file": keyLog, "logfile_size_limit": keyLog, "log_size_limit": keyLog, "logfile_max_num": keyLog, "log_max_num": keyLog,
	"syslog": keyLog, "remote_syslog": keyLog, "debug": keyLog, "trace": keyLog, "trace_verbose": keyLog, "trace_headers": keyLog, "logtime": keyLog, "logtime_utc": keyLog,
}

const (
	keyAddr    = "nats.embedded.addr"
	keyDir     = "nats.embedded.dir"
	keySync    = "nats.embedded.sync"
	keyStreams = "nats.url is empty, so this server has the streams"
	keyLog     = "log.level and log.format, because the embedded server writes to the log of the node"
)

// logOverrides logs each overridden directive of the file, with its location and the reason.
func (o Options) logOverrides(so *resolved, log *slog.Logger) {
	sorted := slices.Clone(so.file.directives)
	slices.SortFunc(sorted, func(a, b directive) int { return strings.Compare(a.path+a.at(), b.path+b.at()) })
	for _, d := range sorted {
		if by := overridden[d.path]; by != "" && !o.agrees(so.Options, d, by) {
			log.Warn("nats-server: directive of nats.embedded.config is overridden", "directive", d.path, "at", d.at(), "value", d.value, "by", by)
		}
	}
	for _, w := range so.file.warnings {
		log.Warn("nats-server: nats.embedded.config has a warning", "warning", strings.TrimSpace(w.Error()))
	}
}

// agrees reports whether the directive has the effective value.
func (o Options) agrees(so *server.Options, d directive, by string) bool {
	value := fmt.Sprint(d.value)
	switch by {
	case keyAddr:
		effective := []string{hostPort(so), so.Host, fmt.Sprint(so.Port)}
		return o.Addr == "" || slices.Contains(effective, value)
	case keyDir:
		return filepath.Clean(value) == filepath.Clean(so.StoreDir)
	case keySync:
		return value == so.SyncInterval.String() || so.SyncAlways && value == "always"
	case keyStreams:
		// A block has no value.
		return d.value == nil || value == "true" || strings.HasPrefix(strings.ToLower(value), "enable")
	}
	return value == "false"
}
