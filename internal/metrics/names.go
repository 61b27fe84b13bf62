package metrics

// The metrics. docs/reference/metrics.md lists them; a test compares the two.
var (
	connections          = define(gauge, "connections", "Open connections. live: caught up. replaying: reading stored events. slow: events have been ready for a second and the client has accepted none, or the client reads too slowly to catch up. Forms: sse, envelope, ndjson, json (polls).", "feed", "state", "form")
	connectionsLimit     = define(gauge, "connections_limit", "Maximum number of connections of the node (limits.connections, or derived from the open files limit); missing without a limit.")
	connects             = define(counter, "connects_total", "Accepted subscribe requests.", "feed")
	disconnects          = define(counter, "disconnects_total", "Ended connections. page: a poll was answered. gone: the client disconnected. timeout: the client accepted no bytes for sse.write_timeout. closed: closed at the end of the process. error: any other error. The other reasons are those of tidemark.close.", "feed", "reason")
	refusals             = define(counter, "rejections_total", "Rejected requests, by limit (connections, connections_per_user, connections_per_address, replays, connect_rate, publish_rate; for from=last: last_subjects; for from=last and until=end: last_waiting, last_waiting_per_user, last_waiting_per_address) or by another reason (draining; other_node: a proxy sends the request to another node; host: unknown Host name).", "reason")
	sockets              = define(gauge, "sockets", "Open sockets of http.addr. idle: kept alive between requests. busy: all others.", "state")
	socketsLimit         = define(gauge, "sockets_limit", "Maximum number of sockets of the node (limits.sockets, or derived from the open files limit); missing without a limit.")
	socketsAccepted      = define(counter, "sockets_accepted_total", "Accepted sockets of http.addr. Clients that keep their connections send many requests on a socket.")
	socketsRefused       = define(counter, "sockets_rejected_total", "Sockets closed when they were accepted, because a limit was reached and no socket was idle.", "limit")
	handshakes           = define(counter, "tls_handshakes_total", "TLS handshakes of http.addr with http.engine auto. full and resumed: completed, without and with a session of the client. failed: errors, disconnects and timeouts. rejected: too many were waiting.", "result")
	openHandshakes       = define(gauge, "tls_handshakes", "TLS handshakes of http.addr that have not ended. waiting: for their start. running: all others.", "state")
	idleSocketsClosed    = define(counter, "idle_sockets_closed_total", "Idle sockets closed in favour of new ones, because a limit was reached.")
	revocations          = define(gauge, "revocations", "Revocations stored by the node.")
	revocationsForgotten = define(counter, "revocations_evicted_total", "Revocations removed early, because the list was full. Their tokens are accepted again until they expire.")
	revocationMessages   = define(counter, "revocation_messages_total", "Messages on tidemark.revoke, including those read at the start of the node. applied: stored. invalid: ignored.", "result")
	untrusted            = define(counter, "untrusted_headers_total", "Requests with ignored identity headers, because the sender is not listed in auth.header.trusted; missing without auth.identity header.")

	deliveredEvents = define(counter, "delivered_events_total", "Events passed to connections. live: stored after the client connected. missed: stored before the client connected.", "feed", "kind")
	deliveredBytes  = define(counter, "delivered_bytes_total", "Bytes passed to connections, including control events and heartbeats, without transfer coding and TLS.", "feed")
	deliveryDelay   = define(hist, "delivery_delay_seconds", "Time from the storing of an event to passing it to a connection, for each live event and connection. It is the difference of the clocks of the NATS server and this node; negative values count as 0.", "feed")
	gaps            = define(counter, "gaps_total", "Gaps announced to clients with tidemark.gap, by reason.", "feed", "reason")

	publishedEvents = define(counter, "published_events_total", "Events published over HTTP. failed: NATS sent no acknowledgement; the event may be stored.", "result")
	publishDuration = define(hist, "publish_duration_seconds", "Time from publishing the events of a request to NATS to the acknowledgement of each event.")

	ingestsOpen = define(gauge, "ingests", "Event streams that are being published over HTTP.")
	ingests     = define(counter, "ingests_total", "Event streams that were published over HTTP, by how they ended. ended: an event completed the subject. The subject is open after all others. open: the body ended. broken: the body broke off, or ended within an event. idle: nothing arrived for publish.idle_timeout. invalid: an event was not valid, or the body is not an event stream. conflict: a repeat found its first events outside of the duplicate window, and stored them again. rejected: the identity did not permit it, or no longer. failed: an event was not stored. stopped: the node stopped.", "result")

	undeliverable = define(counter, "undeliverable_messages_total", "Messages stored while the node followed the stream that no feed can deliver: the subject matches neither the subjects nor allow of a feed, or a value in it is not encoded as documented. Every node counts them.", "stream")

	windowEvents      = define(gauge, "window_events", "Recent events in memory.", "stream")
	windowBytes       = define(gauge, "window_bytes", "Approximate size of the recent events in memory.", "stream")
	windowEventsLimit = define(gauge, "window_events_limit", "The configured window.events.", "stream")
	windowBytesLimit  = define(gauge, "window_bytes_limit", "The configured window.bytes.", "stream")
	windowSpan        = define(gauge, "window_span_seconds", "Age of the oldest event in memory. Clients that were disconnected for less time resume from memory.", "stream")
	windowRemoved     = define(counter, "window_removed_events_total", "Events removed from memory because they are no longer in the stream. trimmed: before the stream's first sequence. expired: max_age, or the lifetime of the event. superseded: max_msgs_per_subject. deleted: any other reason, such as deleted messages, purges of a subject and rollups.", "stream", "reason")
	windowComparisons = define(counter, "window_comparisons_total", "Comparisons of the window with the stream, after deletions without another explanation. count: by the number of events (with a consumer that delivers no messages). read: by reading the headers of all events.", "stream", "by")
	windowResumes     = define(counter, "window_resumes_total", "Resumes with a position, by source. window: from memory. stream: with a consumer of the stream.", "stream", "from")

	replaysActive  = define(gauge, "replays_active", "Running replays of stored events.", "stream")
	replaysWaiting = define(gauge, "replays_waiting", "Replays waiting for the creation of their consumer.", "stream")
	replaysTotal   = define(counter, "replays_total", "Ended replays. suspended: the client did not read; another replay continues when it reads. abandoned: the client disconnected, or the stream failed; in the latter case another replay starts.", "stream", "result")
	replayedEvents = define(counter, "replayed_events_total", "Events read for replays.", "stream")
	replayDuration = define(hist, "replay_duration_seconds", "Time from the creation of a replay's consumer to the end of the replay. Slow clients increase it.", "stream")

	replayBytes        = define(gauge, "replay_bytes", "Bytes requested or read by replays of all streams and not sent yet.")
	replayBytesLimit   = define(gauge, "replay_bytes_limit", "The configured limits.replay_bytes.")
	replayBytesWaiting = define(gauge, "replay_bytes_waiting", "Replays waiting for bytes of limits.replay_bytes.")
	replaySuspensions  = define(counter, "replay_suspensions_total", "Suspensions of replays whose client had read nothing for a second. A suspended replay releases its bytes.")

	consumers       = define(gauge, "consumers", "Ephemeral consumers in use: that of the tail and those of replays.", "stream")
	consumerCreates = define(counter, "consumer_creates_total", "Created ephemeral consumers.", "stream")
	createFailures  = define(counter, "consumer_create_failures_total", "Failed attempts to create a consumer; they are retried. limit: the stream or the account has its maximum number of consumers.", "stream", "reason")

	tailUp       = define(gauge, "tail_up", "1 while the node follows the stream, 0 while the stream is not reachable and clients wait.", "stream")
	tailSequence = define(gauge, "tail_sequence", "The last sequence read by the node.", "stream")
	lastSequence = define(gauge, "stream_last_sequence", "The last sequence of the stream, requested from its leader at the scrape; missing without an answer within a second.", "stream")
	tailLag      = define(gauge, "tail_lag_events", "The number of stored events that the node has not read: stream_last_sequence minus tail_sequence.", "stream")
	tailResets   = define(counter, "tail_resets_total", "Times that the tail could not continue at its position, by the reason of the gap announced to clients.", "stream", "reason")
	recreations  = define(counter, "stream_recreations_total", "Times that the node created a deleted stream again. Each time the events of the stream are lost.", "stream")
	pullRefusals = define(counter, "pull_rejections_total", "Pull requests of the tail and of replays rejected by NATS. A request that exceeds a limit of the server is retried with a smaller one.", "stream")
	tailRestarts = define(counter, "tail_restarts_total", "Replacements of the tail's consumer without loss, after a failure of the connection, the server or the consumer.", "stream")
	tailFailures = define(counter, "tail_failures_total", "Restarts of the tail after an error. Until the tail continues, clients stay connected and wait.", "stream")

	natsConnected  = define(gauge, "nats_connected", "1 while the node is connected to NATS. replay: the connection for replays. tail: for the tails. main: for everything else.", "connection")
	natsReconnects = define(counter, "nats_reconnects_total", "Reconnects to NATS.", "connection")
	natsReceived   = define(counter, "nats_received_bytes_total", "Bytes received from NATS.", "connection")
	natsSent       = define(counter, "nats_sent_bytes_total", "Bytes sent to NATS.", "connection")
	storeWritable  = define(gauge, "store_writable", "1 while the embedded NATS server can store events; missing without an embedded server.")

	traceSpans    = define(counter, "trace_spans_total", "Ended spans of traces. sent: accepted by the collector. failed: not accepted. dropped: the queue was full. Missing without traces.endpoint.", "result")
	tracesLimited = define(counter, "traces_limited_total", "Traces not recorded because of traces.rate; missing without traces.endpoint.")

	drainingNow = define(gauge, "draining", "1 while the node drains its clients.")
	buildInfo   = define(gauge, "build_info", "Always 1; the labels contain the versions.", "version", "goversion")
)
