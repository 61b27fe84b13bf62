package metrics

// What there is. docs/reference/metrics.md lists it, and a test compares the two.
var (
	connections          = define(gauge, "connections", "Open streams. live: level with the stream. replaying: catching up from the stored stream. slow: the client has taken nothing for a second that is ready for it, or reads too slowly to be level.", "feed", "state")
	connectionsLimit     = define(gauge, "connections_limit", "The most streams that the node takes (limits.connections, or what open files allow); missing where there is no limit.")
	connects             = define(counter, "connects_total", "Streams that were let in.", "feed")
	disconnects          = define(counter, "disconnects_total", "Streams that ended, of those that were let in. gone: the client left. timeout: it took no bytes for sse.write_timeout. closed: cut off at the end of the process. error: anything else. The others are the reasons of tidemark.close.", "feed", "reason")
	refusals             = define(counter, "rejections_total", "Requests that were turned away, by the limit that they met (connections, connections_per_user, connections_per_address, replays, connect_rate, publish_rate; of from=last: last_subjects, last_waiting, last_waiting_per_user, last_waiting_per_address), or for another reason (draining; other_node: sent to another node by a proxy; host: a Host name that is not served).", "reason")
	sockets              = define(gauge, "sockets", "Open sockets of http.addr. idle: kept alive between requests. busy: all others.", "state")
	socketsLimit         = define(gauge, "sockets_limit", "The most sockets that the node accepts (limits.sockets, or what open files allow); missing where there is no limit.")
	socketsRefused       = define(counter, "sockets_rejected_total", "Sockets that were closed when they were accepted, because a limit was reached and no socket was idle.", "limit")
	idleSocketsClosed    = define(counter, "idle_sockets_closed_total", "Idle sockets that were closed to make room for new ones, because a limit was reached.")
	revocations          = define(gauge, "revocations", "Revocations that the node remembers.")
	revocationsForgotten = define(counter, "revocations_evicted_total", "Revocations that were forgotten before their time, because their list was full: their tokens are accepted again until they expire.")
	revocationMessages   = define(counter, "revocation_messages_total", "Messages on tidemark.revoke, with those that a node reads when it starts. invalid ones were ignored.", "result")
	untrusted            = define(counter, "untrusted_headers_total", "Requests whose identity headers were ignored, since their sender is not in auth.header.trusted; missing without auth.identity header.")

	deliveredEvents = define(counter, "delivered_events_total", "Events handed to connections. live: stored while the client was connected. missed: stored before it connected, and caught up on.", "feed", "kind")
	deliveredBytes  = define(counter, "delivered_bytes_total", "Bytes handed to connections, control events and heartbeats included, transfer coding and TLS excluded.", "feed")
	deliveryDelay   = define(hist, "delivery_delay_seconds", "From the time at which an event was stored to when it was handed to a connection, for each live event and connection. By the clocks of the NATS server and of this node; less than nothing counts as 0.", "feed")
	gaps            = define(counter, "gaps_total", "Clients that were told, by tidemark.gap, that something could not be redelivered.", "feed", "reason")

	publishedEvents = define(counter, "published_events_total", "Events that came by HTTP and were handed to NATS. failed ones may be stored, if no acknowledgement came.", "result")
	publishDuration = define(hist, "publish_duration_seconds", "From handing events of a request to NATS to the acknowledgement of each.")

	undeliverable = define(counter, "undeliverable_messages_total", "Messages that were stored while the node followed the stream and that no feed can deliver: their subject matches none of the feeds' subjects and allow, or a value in it is not encoded as documented. Every node counts them.", "stream")

	windowEvents      = define(gauge, "window_events", "Recent events that are held in memory.", "stream")
	windowBytes       = define(gauge, "window_bytes", "What they take, about.", "stream")
	windowEventsLimit = define(gauge, "window_events_limit", "window.events.", "stream")
	windowBytesLimit  = define(gauge, "window_bytes_limit", "window.bytes.", "stream")
	windowSpan        = define(gauge, "window_span_seconds", "How long ago the oldest of them was stored: who was away for less is served from memory.", "stream")
	windowRemoved     = define(counter, "window_removed_events_total", "Events that left memory because the stream no longer has them. trimmed: it begins later. expired: max_age, or the lifetime of the event. superseded: max_msgs_per_subject. deleted: anything else, such as deleted messages, purges of a subject and rollups.", "stream", "reason")
	windowComparisons = define(counter, "window_comparisons_total", "How often the window was compared with the stream because deletions were not explained otherwise. count: by the number of events (a consumer without messages). read: by reading the headers of all of them.", "stream", "by")
	windowResumes     = define(counter, "window_resumes_total", "Clients that named a position, by what it was continued from: window (memory) or stream (a consumer of the stream).", "stream", "from")

	replaysActive  = define(gauge, "replays_active", "Replays from the stored stream that are under way.", "stream")
	replaysWaiting = define(gauge, "replays_waiting", "Replays whose consumer is being created, or waits for its turn.", "stream")
	replaysTotal   = define(counter, "replays_total", "Replays that ended. suspended: the client did not read, and another replay continues once it does. abandoned: the client left, or the log failed; the latter begin again.", "stream", "result")
	replayedEvents = define(counter, "replayed_events_total", "Events that were read for replays.", "stream")
	replayDuration = define(hist, "replay_duration_seconds", "From the creation of a replay's consumer to the end of the replay; a client that reads slowly makes it longer.", "stream")

	replayBytes        = define(gauge, "replay_bytes", "Bytes that replays have requested from their streams, or have read and not sent, over all streams.")
	replayBytesLimit   = define(gauge, "replay_bytes_limit", "limits.replay_bytes.")
	replayBytesWaiting = define(gauge, "replay_bytes_waiting", "Replays that wait for bytes of limits.replay_bytes.")
	replaySuspensions  = define(counter, "replay_suspensions_total", "Times that a replay gave its bytes back because its client had read nothing for a second.")

	consumers       = define(gauge, "consumers", "Ephemeral consumers in use: one for the tail, one for each replay.", "stream")
	consumerCreates = define(counter, "consumer_creates_total", "Ephemeral consumers that were created.", "stream")
	createFailures  = define(counter, "consumer_create_failures_total", "Attempts to create one that failed; they are repeated. limit: the stream or the account has all that it may have.", "stream", "reason")

	tailUp       = define(gauge, "tail_up", "1 while the node follows the stream, 0 while it is out of reach and clients wait.", "stream")
	tailSequence = define(gauge, "tail_sequence", "The last sequence that the node has read.", "stream")
	lastSequence = define(gauge, "stream_last_sequence", "The last sequence of the stream, as its leader tells at the scrape; missing when it does not answer within a second.", "stream")
	tailLag      = define(gauge, "tail_lag_events", "How many events the node has yet to read: the difference of these two.", "stream")
	tailResets   = define(counter, "tail_resets_total", "How often the stream could not be followed where the node was, by the gap that its clients were told.", "stream", "reason")
	recreations  = define(counter, "stream_recreations_total", "How often the node created a stream again that went away while it ran. The events of the stream are lost each time.", "stream")
	pullRefusals = define(counter, "pull_rejections_total", "Pull requests of the tail and of replays that NATS did not accept. One that exceeds a limit of the server is repeated with less.", "stream")
	tailRestarts = define(counter, "tail_restarts_total", "How often the consumer of the tail was replaced, without a loss: the connection, the server or the consumer had failed.", "stream")
	tailFailures = define(counter, "tail_failures_total", "How often the tail ended with an error and was started again. Clients stay connected and wait until it follows the stream.", "stream")

	natsConnected  = define(gauge, "nats_connected", "1 while the node has the connection to NATS. replay: for what replays read. tail: for the tails. main: for all else.", "connection")
	natsReconnects = define(counter, "nats_reconnects_total", "How often it was made again.", "connection")
	natsReceived   = define(counter, "nats_received_bytes_total", "Bytes received from NATS.", "connection")
	natsSent       = define(counter, "nats_sent_bytes_total", "Bytes sent to NATS.", "connection")
	storeWritable  = define(gauge, "store_writable", "1 while the embedded NATS server can store events; missing without one.")

	traceSpans    = define(counter, "trace_spans_total", "Spans of traces that have ended. sent: the collector has them. failed: it did not take them. dropped: too many waited for it. Missing without traces.endpoint.", "result")
	tracesLimited = define(counter, "traces_limited_total", "Traces that were not told, as traces.rate allows no more; missing without traces.endpoint.")

	drainingNow = define(gauge, "draining", "1 once the node sends its clients away.")
	buildInfo   = define(gauge, "build_info", "Always 1; the labels tell what is running.", "version", "goversion")
)
