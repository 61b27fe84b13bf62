package feed

// TraceContext is what W3C Trace Context says of a request or a message: the trace that it is part
// of. It is what a stranger wrote, and need not be well-formed. Both are empty for none.
type TraceContext struct {
	Parent string // the header traceparent: 00-TRACE-PARENT-FLAGS
	State  string // the header tracestate
}

// Trace hears of the way of one event through a feed, because somebody wants to see it. A Log gives
// it to an event that Follow yields; all others have none. Its functions must be set, are called by
// many goroutines, also while locks are held, and must return at once.
type Trace struct {
	// Enqueued is called once, when the tail has handed the event to the window and to the live
	// subscriptions that it matches, as many as it says. Sent may have been called before.
	Enqueued func(subscriptions int)
	// Sent is called for each delivery of the event to a client that was connected when it was
	// stored. There can be more of them than subscriptions, or fewer.
	Sent func()
}
