package server_test

import "strings"

// rawAttacks are requests that no client would send: a proxy in front may parse them differently.
func rawAttacks() (out []attack) {
	add := func(name, raw string, want []int, plain bool, more ...int) {
		out = append(out, attack{name: "raw " + name, raw: raw, want: want, plain: plain, more: more, as: "mallory"})
	}
	const (
		get     = "GET /events?user=mallory HTTP/1.1\r\nHost: {host}\r\n"
		alice   = "GET /events?user=alice HTTP/1.1\r\nHost: {host}\r\n\r\n"
		publish = "POST /publish HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
		inner   = "POST /publish HTTP/1.1\r\nHost: {host}\r\nContent-Length: 48\r\n\r\n" + broadcastX
		empty   = "0\r\n\r\n"
	)
	// The connection stays open, and the request behind it is never answered.
	add("pipelined second stream", get+"\r\n"+alice, streams, false)
	add("pipelined publish", get+"\r\n"+inner, streams, false)
	add("pipelined rubbish", get+"\r\n\x00\x01\x02\r\n\r\n", streams, false)
	add("content length and chunks", get+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"+empty+alice, []int{200, 400}, false)
	add("content length over a stream", get+"Content-Length: 3\r\n\r\nabc"+alice, []int{200, 400}, false)
	add("bare line feeds", strings.ReplaceAll(get+"\r\n", "\r\n", "\n"), streams, false)
	add("a head within a head", "GET /events?user=mallory HTTP/1.1\r\nHost: {host}\n\n"+alice, streams, false)
	add("folded header", get+"X-A: b\r\n c\r\n\td\r\n\r\n", streams, false)
	add("absolute target", "GET http://{host}/events?user=mallory HTTP/1.1\r\nHost: evil.example\r\n\r\n", streams, false)
	add("absolute target of another host", "GET http://evil.example/events?user=mallory HTTP/1.1\r\nHost: {host}\r\n\r\n", []int{421}, false)
	add("upgrade to h2c", get+"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", streams, false)
	add("upgrade to websocket", get+"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", streams, false)
	add("expect", get+"Expect: 100-continue\r\n\r\n", streams, false)
	// Refused by net/http, which closes the connection.
	add("two content lengths", publish+"Content-Length: 48\r\nContent-Length: 3\r\n\r\n"+broadcastX, bad, true)
	add("content lengths in a list", publish+"Content-Length: 48, 3\r\n\r\n"+broadcastX, bad, true)
	add("negative content length", publish+"Content-Length: -1\r\n\r\n"+broadcastX, bad, true)
	add("signed content length", publish+"Content-Length: +48\r\n\r\n"+broadcastX, bad, true)
	add("hexadecimal content length", publish+"Content-Length: 0x30\r\n\r\n"+broadcastX, bad, true)
	add("huge content length", publish+"Content-Length: 99999999999999999999\r\n\r\n"+broadcastX, bad, true)
	add("space before a colon", publish+"Content-Length : 48\r\n\r\n"+broadcastX, bad, true)
	add("space before a name", publish[:len(publish)-len("Connection: close\r\n")]+" Connection: close\r\nContent-Length: 3\r\n\r\nabc", bad, true)
	add("identity and chunks", publish+"Transfer-Encoding: identity, chunked\r\n\r\n"+empty, []int{400, 501}, true)
	add("chunks and identity", publish+"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"+empty, []int{400, 501}, true)
	add("chunks by another name", publish+"Transfer-Encoding: xchunked\r\nContent-Length: 48\r\n\r\n"+broadcastX, []int{400, 501}, true)
	add("chunks with a vertical tab", publish+"Transfer-Encoding: \x0bchunked\r\nContent-Length: 48\r\n\r\n"+broadcastX, []int{400, 501}, true)
	add("chunk of rubbish", publish+"Transfer-Encoding: chunked\r\n\r\nzz\r\n"+broadcastX+"\r\n"+empty, bad, false)
	add("chunk too long", publish+"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"+broadcastX, bad, false)
	add("chunks and a content length, and one behind", publish+"Content-Length: 48\r\nTransfer-Encoding: chunked\r\n\r\n"+empty+inner, bad, false)
	add("no host", "GET /events?user=mallory HTTP/1.1\r\n\r\n", bad, true)
	add("two hosts", get+"Host: evil.example\r\n\r\n", bad, true)
	add("a host that is none", "GET /events?user=mallory HTTP/1.1\r\nHost: a b\r\n\r\n", bad, true)
	add("a host with a slash and more", "GET /events?user=mallory HTTP/1.1\r\nHost: x/<script>\r\n\r\n", bad, true)
	add("NUL in a name", get+"X-\x00A: b\r\n\r\n", bad, true)
	add("NUL in a value", get+"X-A: b\x00\r\n\r\n", bad, true)
	add("carriage return in a value", get+"X-A: b\rX-User: alice\r\n\r\n", bad, true)
	add("a header without a colon", get+"X-A\r\n\r\n", bad, true)
	add("a header without a name", get+": b\r\n\r\n", bad, true)
	add("NUL in the path", "GET /events\x00?user=mallory HTTP/1.1\r\nHost: {host}\r\n\r\n", bad, true)
	add("a space in the path", "GET /events ?user=mallory HTTP/1.1\r\nHost: {host}\r\n\r\n", bad, true)
	add("HTTP/0.9", "GET /events?user=mallory\r\n\r\n", bad, true)
	add("HTTP/1.2", "GET /events?user=mallory HTTP/1.2\r\nHost: {host}\r\nConnection: close\r\n\r\n", []int{200, 400, 505}, false)
	add("HTTP/3.0", "GET /events?user=mallory HTTP/3.0\r\nHost: {host}\r\n\r\n", []int{400, 505}, true)
	add("HTTP/1.1 in lower case", "GET /events?user=mallory http/1.1\r\nHost: {host}\r\n\r\n", bad, true)
	add("rubbish", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", bad, true)
	add("a method of rubbish", "G@T{} /events HTTP/1.1\r\nHost: {host}\r\n\r\n", bad, true)
	add("headers oversized", get+"X-A: "+strings.Repeat("x", 80<<10)+"\r\n\r\n", []int{431}, true)
	add("headers too many", get+strings.Repeat("X-A: b\r\n", 20_000)+"\r\n", []int{431}, true)
	add("a token oversized", get+"Authorization: Bearer "+strings.Repeat("x", 80<<10)+"\r\n\r\n", []int{431}, true)
	// Refused by the routes.
	const end = " HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
	add("method in lower case", "get /events?user=mallory"+end, []int{405}, false)
	add("TRACE", "TRACE /events?user=mallory"+end, []int{405}, false)
	add("CONNECT", "CONNECT /events?user=mallory"+end, []int{405}, false)
	add("CONNECT elsewhere", "CONNECT evil.example:443"+end, []int{400, 404, 405, 421}, false)
	add("DELETE", "DELETE /events?user=mallory"+end, []int{405}, false)
	add("a method of its own", "STEAL /events"+end, []int{405}, false)
	add("a target that is a star", "GET *"+end, []int{400, 404}, false)
	add("path of a publish without a subject", "GET /publish/"+end, []int{405}, false)
	for _, path := range []string{
		"/events%00", "/events%2f", "/%2fevents", "/events/", "//events", "/./events", "/x/../events", "/events/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/EVENTS", "/events;user=alice",
		"/events%3Fuser=alice", "/debug/pprof/", "/metrics%00", "/.git/config", "/events\xff", "/publish%20", "/healthz%0d%0a",
	} {
		add("path "+path, "GET "+path+end, []int{404, 400}, false)
	}
	// HTTP/2: the answer is a GOAWAY, or nothing.
	add("HTTP/2 preface with rubbish", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+strings.Repeat("\xff", 64), closed, false)
	add("HTTP/2 preface cut", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"+alice, []int{0, 400, 404, 505}, false)
	add("HTTP/2 preface with a request of HTTP/1.1", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+alice, closed, false)
	return out
}
