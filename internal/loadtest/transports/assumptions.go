package transports

import "fmt"

func assumptions(o Options) []string {
	return []string{
		fmt.Sprintf("Both directions together, over HTTP/1.1 on loopback without TLS or compression; %d events of %d bytes, %v apart.",
			o.Events, o.Payload, o.Interval),
		fmt.Sprintf("SSE sends a comment every %v, the WebSocket a ping (answered by a pong) every %v; a long poll waits %v; short polls are %v apart.",
			o.Heartbeat, o.Heartbeat, o.Hold, o.PollInterval),
		fmt.Sprintf("Requests carry a browser's headers and %s. Polls share one connection, which is their best case.", o.cookie()),
		fmt.Sprintf("On the wire: each packet that the kernel counted adds %d bytes (IPv4 20, TCP 20, timestamps 12); bare acknowledgements count, and segments have the size of Ethernet's. IPv6 adds 20 more, TLS 1.3 22 a record.",
			headerBytes),
		"The cost of a connection is its minutes times the idle figure plus its events times the event figure. So a short poll with an event counts only the difference from an empty one; a long poll counts its answer and the next request.",
		"HTTP/2 compresses repeated headers, so that polling costs fewer bytes; this is not measured.",
	}
}

func (o Options) cookie() string {
	if o.Cookie < 0 {
		return "no cookie"
	}
	return fmt.Sprintf("a cookie of %d bytes", o.Cookie)
}
