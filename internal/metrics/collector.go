package metrics

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// collector reads the state of a node at each scrape.
type collector struct{ node Node }

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range all {
		if d != httpRequests {
			to <- d.desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	var asking sync.WaitGroup
	for _, s := range c.node.Streams {
		asking.Go(func() { c.stream(to, s) })
	}
	for _, f := range c.node.Feeds {
		c.feed(to, f)
	}
	c.admission(to)
	c.sockets(to)
	c.revocations(to)
	c.publisher(to)
	c.nats(to)
	c.budget(to)
	c.traces(to)
	for name, n := range c.node.Recreations() {
		send(to, recreations, n, name)
	}
	sendBool(to, drainingNow, c.node.Draining())
	send(to, buildInfo, 1, c.node.Version, runtime.Version())
	asking.Wait()
}

func (c *collector) feed(to sink, f Feed) {
	s := f.Handler.Status()
	for form, n := range s.Forms {
		name := feedhttp.Form(form).String()
		send(to, connections, n.Live, f.Name, "live", name)
		send(to, connections, n.Replaying, f.Name, "replaying", name)
		send(to, connections, n.Slow, f.Name, "slow", name)
	}
	send(to, connects, s.Connects, f.Name)
	for reason, n := range s.Disconnects {
		send(to, disconnects, n, f.Name, reason)
	}
	for reason, n := range s.Gaps {
		send(to, gaps, n, f.Name, string(reason))
	}
	send(to, deliveredEvents, s.LiveEvents, f.Name, "live")
	send(to, deliveredEvents, s.MissedEvents, f.Name, "missed")
	send(to, deliveredBytes, s.Bytes, f.Name)
	sendHistogram(to, deliveryDelay, s.Delay, f.Name)
}

func (c *collector) admission(to sink) {
	if limit := c.node.Admission.Limits().Connections; limit > 0 {
		send(to, connectionsLimit, limit)
	}
	for reason, n := range c.node.Admission.Refused() {
		send(to, refusals, n, reason.String())
	}
	open, ended := c.node.Admission.Ingests()
	send(to, ingestsOpen, open)
	for outcome, n := range ended {
		send(to, ingests, n, outcome.String())
	}
	if c.node.Untrusted != nil {
		send(to, untrusted, c.node.Untrusted())
	}
}

func (c *collector) sockets(to sink) {
	opts, s := c.node.Sockets.Options(), c.node.Sockets.Status()
	send(to, sockets, s.Open-s.Idle, "busy")
	send(to, sockets, s.Idle, "idle")
	if opts.Max > 0 {
		send(to, socketsLimit, opts.Max)
	}
	send(to, socketsRefused, s.Refused, "sockets")
	send(to, socketsRefused, s.RefusedPerAddress, "sockets_per_address")
	send(to, idleSocketsClosed, s.IdleClosed)
	h := c.node.Engine.Handshakes()
	send(to, openHandshakes, h.Running, "running")
	send(to, openHandshakes, h.Waiting, "waiting")
	send(to, handshakes, h.Full, "full")
	send(to, handshakes, h.Resumed, "resumed")
	send(to, handshakes, h.Failed, "failed")
	send(to, handshakes, h.Rejected, "rejected")
}

func (c *collector) revocations(to sink) {
	r := c.node.Revocations()
	send(to, revocations, r.Remembered)
	send(to, revocationsForgotten, r.Forgotten)
	send(to, revocationMessages, r.Applied, "applied")
	send(to, revocationMessages, r.Invalid, "invalid")
}

func (c *collector) publisher(to sink) {
	s := c.node.Publisher.Status()
	send(to, publishedEvents, s.Stored, "stored")
	send(to, publishedEvents, s.Duplicates, "duplicate")
	send(to, publishedEvents, s.Failed, "failed")
	sendHistogram(to, publishDuration, s.Duration)
}

func (c *collector) nats(to sink) {
	for _, n := range c.node.NATS {
		stats := n.Conn.Stats()
		sendBool(to, natsConnected, n.Conn.IsConnected(), n.Name)
		send(to, natsReconnects, stats.Reconnects, n.Name)
		send(to, natsReceived, stats.InBytes, n.Name)
		send(to, natsSent, stats.OutBytes, n.Name)
	}
	if c.node.Store != nil {
		sendBool(to, storeWritable, c.node.Store() == nil)
	}
}

func (c *collector) budget(to sink) {
	s := c.node.Replays.Status()
	send(to, replayBytes, s.Used)
	send(to, replayBytesLimit, s.Limit)
	send(to, replayBytesWaiting, s.Waiting)
	send(to, replaySuspensions, s.Suspended)
}

func (c *collector) traces(to sink) {
	if c.node.Traces == nil {
		return
	}
	s := c.node.Traces()
	send(to, traceSpans, s.Sent, "sent")
	send(to, traceSpans, s.Failed, "failed")
	send(to, traceSpans, s.Dropped, "dropped")
	send(to, tracesLimited, s.Limited)
}

func (c *collector) stream(to sink, s Stream) {
	status := s.Feed.Status()
	c.window(to, s, status)
	c.replays(to, s, status.Replays)
	sendBool(to, tailUp, status.Lost == nil, s.Name)
	send(to, undeliverable, status.Undeliverable, s.Name)
	send(to, tailFailures, status.TailFailures, s.Name)
	for reason, n := range status.Losses {
		send(to, tailResets, n, s.Name, string(reason))
	}
	c.tailLag(to, s)
}

func (c *collector) window(to sink, s Stream, status feed.Status) {
	send(to, windowEvents, status.Events, s.Name)
	send(to, windowBytes, status.Bytes, s.Name)
	send(to, windowEventsLimit, s.WindowEvents, s.Name)
	send(to, windowBytesLimit, s.WindowBytes, s.Name)
	span := time.Duration(0)
	if !status.Oldest.IsZero() {
		span = max(0, time.Since(status.Oldest))
	}
	send(to, windowSpan, span.Seconds(), s.Name)
	for reason, n := range status.Removed {
		send(to, windowRemoved, n, s.Name, reason.String())
	}
	send(to, windowComparisons, status.Counts, s.Name, "count")
	send(to, windowComparisons, status.Reads, s.Name, "read")
	send(to, windowResumes, status.FromWindow, s.Name, "window")
	send(to, windowResumes, status.FromStore, s.Name, "stream")
}

func (c *collector) replays(to sink, s Stream, status feed.ReplayStatus) {
	send(to, replaysActive, status.Active, s.Name)
	send(to, replaysTotal, status.Completed, s.Name, "completed")
	send(to, replaysTotal, status.Suspended, s.Name, "suspended")
	send(to, replaysTotal, status.Abandoned, s.Name, "abandoned")
	send(to, replayedEvents, status.Events, s.Name)
	sendHistogram(to, replayDuration, status.Duration, s.Name)

	log := s.Log.Status()
	send(to, replaysWaiting, log.Waiting, s.Name)
	send(to, consumers, log.Consumers, s.Name)
	send(to, consumerCreates, log.Creates, s.Name)
	for reason, n := range log.CreateFailures {
		send(to, createFailures, n, s.Name, reason.String())
	}
	send(to, tailRestarts, log.TailRestarts, s.Name)
	send(to, pullRefusals, log.PullRefusals, s.Name)
}

// askTimeout limits the request to a stream's leader.
const stateTimeout = time.Second

// end sends the lag of the tail. It reads the position of the tail after the leader's answer, so that events
// stored in between do not count as lag.
func (c *collector) tailLag(to sink, s Stream) {
	ctx, cancel := context.WithTimeout(context.Background(), stateTimeout)
	defer cancel()
	var state feed.State
	err := s.Feed.Status().Lost // do not wait for an unreachable stream
	if err == nil {
		state, err = s.Feed.State(ctx)
	}
	status := s.Feed.Status()
	send(to, tailSequence, status.High, s.Name)
	if err != nil {
		return
	}
	send(to, lastSequence, state.LastSeq, s.Name)
	if state.Epoch == status.Epoch {
		send(to, tailLag, state.LastSeq-min(state.LastSeq, status.High), s.Name)
	}
}
