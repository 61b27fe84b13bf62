package transports

import "fmt"

func assumptions(o Options) []string {
	return []string{
		fmt.Sprintf("Both directions together, over HTTP/1.1 on loopback without TLS or compression; %d events of %d bytes, %v apart.",
			o.Events, o.Payload, o.Interval),
		fmt.Sprintf("SSE sends a comment every %v, the WebSocket a ping (answered by a pong) every %v; a long poll is held %v; short polls are %v apart.",
			o.Heartbeat, o.Heartbeat, o.Hold, o.PollInterval),
		fmt.Sprintf("Requests carry a browser's headers and %s. Polls share one connection, which is their best case.", o.cookie()),
		fmt.Sprintf("On the wire: each packet that the kernel counted, bare acknowledgements too and in segments as on Ethernet, adds %d bytes (IPv4 20, TCP 20, timestamps 12). IPv6 adds 20 more, TLS 1.3 22 a record.",
			headerBytes),
		"Minutes times the idle figure and events times the event's figure add up. So a short poll that brings an event counts only what it has more than an empty one; a long poll counts its answer and the next request.",
		"HTTP/2 packs repeated headers: there polling costs fewer bytes than here, which this does not measure.",
	}
}

func (o Options) cookie() string {
	if o.Cookie < 0 {
		return "no cookie"
	}
	return fmt.Sprintf("a cookie of %d bytes", o.Cookie)
}
