package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/streamdef"
	"github.com/tidemark/tidemark/internal/subject"
)

// checkStream checks the stream of a feed in the state of its leader.
func (d *doctor) checkStream(nc *nats.Conn, a streamAnswer) []Finding {
	c := &check{name: "stream " + a.name}
	if a.info == nil {
		d.missing(c, nc, a)
		return c.found
	}
	cfg := a.info.Config
	d.checkDefinition(c, cfg)
	d.checkRetention(c, a.info)
	d.checkPublishing(c, a.info)
	d.checkSubjects(c, cfg)
	checkConsumers(c, a.info)
	checkReplicas(c, nc, a.info)
	checkCopies(c, a.info)
	if c.fine() {
		c.ok("events: %d, size: %s, replicas: %d", a.info.State.Msgs, size(a.info.State.Bytes), max(cfg.Replicas, 1))
	}
	return c.found
}

func (d *doctor) missing(c *check, nc *nats.Conn, a streamAnswer) {
	want, _ := d.definition(a.name)
	if d.borrowed() {
		unreadable(c, a.err)
		return
	}
	switch {
	case errors.Is(a.err, jetstream.ErrStreamNotFound) && want.Replicas > 1 && nc.ConnectedClusterName() == "":
		c.problem("streams.replicas: 1, or a cluster of NATS servers", "the stream cannot be created with %d replicas, because the NATS server is not in a cluster", want.Replicas)
	case errors.Is(a.err, jetstream.ErrStreamNotFound) && d.defined(a.name):
		c.warn("start a node, or `tidemark stream apply`", "the stream does not exist yet; a node with the permission creates it")
	case errors.Is(a.err, jetstream.ErrStreamNotFound):
		c.problem("feeds.NAME.stream, streams.dir with a definition of it, or `nats stream add`", "the stream does not exist, and has no definition in this configuration")
	case errors.Is(a.err, nats.ErrNoResponders):
		c.problem("enable JetStream in the server and the account; or set nats.domain or nats.api_prefix for another account", "JetStream does not answer for this user")
	default:
		c.problem("the permission for STREAM.INFO (see permissions), or a majority of the stream's servers", "the stream's leader does not answer: %v", a.err)
	}
}

func (d *doctor) checkDefinition(c *check, have jetstream.StreamConfig) {
	want, ok := d.definition(have.Name)
	if !ok {
		return
	}
	for _, diff := range streamdef.Compare(want, have) {
		c.warn("streams.apply, or `tidemark stream apply`; else correct the definition (streams.dir, streams.replicas, streams.max_bytes)", "the stream differs from its definition: %s", diff)
	}
}

// almostFull is the share of max_bytes or max_msgs from which a warning is reported for a stream that
// rejects new events.
const almostFull = 0.9

func (d *doctor) checkRetention(c *check, info *jetstream.StreamInfo) {
	cfg := info.Config
	if err := streamdef.Check(cfg); err != nil {
		c.problem("retention: limits", "%v", err)
	}
	if cfg.MaxAge == 0 && cfg.MaxBytes <= 0 && cfg.MaxMsgs <= 0 {
		c.warn("max_age, max_bytes or max_msgs", "nothing bounds the stream; it grows until the disk is full")
	}
	if cfg.MaxAge > 0 && cfg.MaxAge < time.Minute {
		c.warn("max_age: longer than clients are away", "events are kept for %s; a client that reconnects later receives a gap", cfg.MaxAge)
	}
	if cfg.MaxMsgsPerSubject > 0 {
		c.warn("max_msgs_per_subject: none, unless clients need only the latest event", "older events of a subject are replaced, and clients that resume receive gaps (possible)")
	}
	if cfg.Storage == jetstream.MemoryStorage && max(cfg.Replicas, 1) == 1 {
		c.warn("storage: file", "the stream is in the memory of one server; a restart loses it")
	}
	if info.Config.AllowMsgSchedules {
		c.warn("keep schedules in a stream of their own", "%s", streamdef.ScheduleAdvice)
	}
}

// shortWindow is a duplicate window that is too short for the retries of publishers.
const shortWindow = 30 * time.Second

func (d *doctor) checkPublishing(c *check, info *jetstream.StreamInfo) {
	cfg := info.Config
	full := cfg.MaxBytes > 0 && float64(info.State.Bytes) > almostFull*float64(cfg.MaxBytes) ||
		cfg.MaxMsgs > 0 && float64(info.State.Msgs) > almostFull*float64(cfg.MaxMsgs)
	switch {
	case cfg.Discard == jetstream.DiscardNew && full:
		c.problem("discard: old, or a larger max_bytes or max_msgs", "the stream is almost full, and rejects new events when it is full (discard new)")
	case cfg.Discard == jetstream.DiscardNew:
		c.warn("discard: old, unless publishers handle 507", "the stream rejects new events when it is full (discard new)")
	}
	if cfg.Sealed {
		c.problem("another stream", "the stream is sealed: it accepts no events")
	}
	copies := cfg.Mirror != nil
	if !copies && cfg.Duplicates < shortWindow {
		c.warn("duplicate_window: 2m", "a repeated publish counts as a duplicate for only %s", cfg.Duplicates)
	}
	if n := int64(cfg.MaxMsgSize); !copies && n > 0 && n < int64(d.Config.Publish.MaxBytes) && d.Config.PublishEnabled() {
		c.warn(fmt.Sprintf("publish.max_bytes: at most %d, or max_msg_size", n), "max_msg_size is %d, and publish.max_bytes %s", n, d.Config.Publish.MaxBytes)
	}
}

// checkSubjects finds subjects of feeds that the stream does not store. The subjects from mirrors and
// sources are unknown.
func (d *doctor) checkSubjects(c *check, cfg jetstream.StreamConfig) {
	if cfg.Mirror != nil || len(cfg.Sources) > 0 || cfg.SubjectTransform != nil {
		return
	}
	for name, f := range d.Config.Feeds {
		if f.Stream != cfg.Name {
			continue
		}
		for _, text := range slices.Concat(f.Subjects, f.Allow) {
			if !slices.ContainsFunc(cfg.Subjects, func(s string) bool { return subject.Subset(asFilter(text), s) }) {
				c.problem("feeds."+name+", or subjects of the stream", "the stream does not store %s of the feed %s; it stores %s", text, name, strings.Join(cfg.Subjects, ", "))
			}
		}
	}
}

// asFilter replaces each variable by a wildcard.
func asFilter(template string) string {
	tokens := strings.Split(template, ".")
	for i, tok := range tokens {
		if strings.HasPrefix(tok, "{") {
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// fewConsumers is the minimum number of consumers for many simultaneous resumes beyond the window.
const fewConsumers = 1000

func checkConsumers(c *check, info *jetstream.StreamInfo) {
	limit := info.Config.MaxConsumers
	switch {
	case limit > 0 && info.State.Consumers >= limit*9/10:
		c.problem("max_consumers: 100000", "%d of %d consumers exist; JetStream rejects further replays", info.State.Consumers, limit)
	case limit > 0 && limit < fewConsumers:
		c.warn("max_consumers: 100000", "max_consumers is %d; each client that resumes beyond the window needs one", limit)
	}
}

func checkReplicas(c *check, nc *nats.Conn, info *jetstream.StreamInfo) {
	replicas := max(info.Config.Replicas, 1)
	if replicas == 1 && nc.ConnectedClusterName() != "" && len(nc.Servers()) > 1 {
		c.warn("streams.replicas: 3", "the stream has one replica in a cluster: while its server is down, events are neither read nor stored")
	}
	if replicas == 2 {
		c.warn("streams.replicas: 3", "the stream has two replicas; it needs both, because a majority of two is two")
	}
	if info.Cluster == nil {
		return
	}
	if info.Cluster.Leader == "" {
		c.problem("start its servers: a majority of the replicas is needed", "the stream has no leader")
	}
	for _, peer := range info.Cluster.Replicas {
		switch {
		case peer.Offline:
			c.problem("start the server "+peer.Name, "the replica at %s is offline", peer.Name)
		case !peer.Current:
			c.warn("wait, and check the disk and the load of "+peer.Name, "the replica at %s is %d operations behind", peer.Name, peer.Lag)
		}
	}
}

// checkCopies checks the mirrors and sources of the stream.
func checkCopies(c *check, info *jetstream.StreamInfo) {
	if info.Mirror != nil {
		checkCopy(c, "mirrors", info.Mirror)
		if info.Config.Metadata["tidemark.epoch"] == "" {
			c.warn("metadata tidemark.epoch: the same value in both streams", "the stream is a mirror without an epoch: clients that move between it and its origin receive a gap")
		}
	}
	for _, source := range info.Sources {
		checkCopy(c, "sources", source)
	}
}

// silent is the longest accepted time without a heartbeat of an origin; servers send one each second.
const silent = 30 * time.Second

func checkCopy(c *check, verb string, source *jetstream.StreamSourceInfo) {
	const change = "the origin's name, its account's exports, and the link to it"
	switch {
	case source.Error != nil:
		c.problem(change, "the stream %s %s, which fails: %v", verb, source.Name, source.Error)
	case source.Active < 0:
		c.problem(change, "the stream %s %s, but has received nothing from it", verb, source.Name)
	case source.Active > silent:
		c.warn(change, "the stream %s %s, but has received nothing from it for %s", verb, source.Name, source.Active.Round(time.Second))
	}
}

// checkRevocations checks the stream of revocations, which a node creates.
func (d *doctor) checkRevocations(a streamAnswer) []Finding {
	c := &check{name: "stream " + a.name}
	keep := d.Config.Auth.JWT.MaxLifetime
	switch {
	case a.err != nil && d.borrowed():
		unreadable(c, a.err)
	case errors.Is(a.err, jetstream.ErrStreamNotFound):
		c.skip("it does not exist yet; a node with the permission creates it (see permissions)")
	case a.err != nil:
		c.warn("the permission for STREAM.INFO (see permissions)", "doctor cannot check that revocations are stored: %v", a.err)
	case !slices.Contains(a.info.Config.Subjects, d.RevokeSubject):
		c.problem("rename or delete that stream", "the stream does not store %s: revocations are lost when a node restarts", d.RevokeSubject)
	case keep > 0 && a.info.Config.MaxAge > 0 && a.info.Config.MaxAge < keep:
		c.warn("streams.apply, or max_age of the stream", "revocations are kept for %s, and tokens last for %s (auth.jwt.max_lifetime)", a.info.Config.MaxAge, keep)
	default:
		c.ok("stored revocations: %d", a.info.State.Msgs)
	}
	return c.found
}
