package natsd

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// override sets what an embedded server needs and what the options name.
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
	// A reload would replace the logger with one of these.
	so.LogFile, so.Syslog, so.RemoteSyslog = "", false, ""
	so.Debug, so.Trace, so.TraceVerbose, so.TraceHeaders = false, false, false, false
	if so.JetStreamLimits.DefaultMaxConsumers == 0 {
		// Servers since 2.15 refuse a stream's 1001st consumer unless told otherwise. How many
		// there are at once is limited where they are made.
		so.JetStreamLimits.DefaultMaxConsumers = -1
	}
	return nil
}

// overridden are directives of the file that do not take effect as they are, by what overrides them.
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
	keyStreams = "nats.url is empty, so that this server has the streams"
	keyLog     = "log.level and log.format, as the embedded server writes to the log of the node"
)

// logOverrides logs each directive of the file that is overridden, with its place and by what.
func (o Options) logOverrides(so *resolved, log *slog.Logger) {
	sorted := slices.Clone(so.file.directives)
	slices.SortFunc(sorted, func(a, b directive) int { return strings.Compare(a.path+a.at(), b.path+b.at()) })
	for _, d := range sorted {
		if by := overridden[d.path]; by != "" && !o.agrees(so.Options, d, by) {
			log.Warn("a directive of nats.embedded.config is overridden", "directive", d.path, "at", d.at(), "value", d.value, "by", by)
		}
	}
	for _, w := range so.file.warnings {
		log.Warn("nats-server warns of nats.embedded.config", "warning", strings.TrimSpace(w.Error()))
	}
}

// agrees reports whether the directive has the value that takes effect.
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
		// A block has no value of its own.
		return d.value == nil || value == "true" || strings.HasPrefix(strings.ToLower(value), "enable")
	}
	return value == "false"
}
